"""`python3 lab.py bundle DIR`: put all that the lab needs on a stick: wheels (with Java), jars, lesson 19's flights.

`python3 lab.py --from DIR` sets up from it without a network. `bundle.json` lists the files and the platforms; it is
written last, and `lab.py` compares every file with it. The same command finishes an interrupted bundle.
"""

import json
import math
import platform
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.tags import compatible_tags, cpython_tags, mac_platforms
from packaging.utils import canonicalize_name, parse_wheel_filename

from labsupport.broker import jars
from labsupport.broker.process import write_atomically
from labsupport.broker.processes import python_marks
from labsupport.capstone import flights
from labsupport.commands.terminal import console, example, require_checkout
from labsupport.console import progress
from labsupport.errors import LabError
from labsupport.files import storing
from labsupport.observability import jmx_agent
from labsupport.settings import CHECKOUT, Settings
from labsupport.setup import installed

CONTENTS, REQUIREMENTS = "bundle.json", installed.REQUIREMENTS
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
AT_ONCE, TOGETHER = 4, 16  # downloads at the same time, and packages in each
NOT_COPIED = (".git", ".venv*", ".lab", "work", "__pycache__", ".*_cache", ".hypothesis", ".ipynb_checkpoints")
GLIBC = range(28, 4, -1)  # 2.28 is that of Debian 10, Ubuntu 20.04, RHEL 8
READ_ME = """\
A lab for learning Apache Kafka, with all that it needs: no network is used.

1. Copy the folder lab from here to your disk.
2. Open a terminal in it, and type (on Windows py instead of python3):

   python3 lab.py --from "{example}"

   with the path of this folder. It needs Python {pythons}.
"""


@dataclass(frozen=True)
class Platform:
    """A kind of machine: Python's name of it, and the wheels that fit it (best first, as pip's --platform)."""

    system: str
    machine: str
    sys_platform: str
    tags: tuple[str, ...]


def _linux(machine: str) -> Platform:
    tags = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC]
    return Platform("Linux", machine, "linux", (*tags, f"manylinux2014_{machine}"))


# Not macOS on x86_64: for argon2-cffi-bindings, which JupyterLab needs, there is no wheel.
PLATFORMS = {
    "linux-x86_64": _linux("x86_64"),
    "linux-aarch64": _linux("aarch64"),
    "macos-arm64": Platform("Darwin", "arm64", "darwin", ("macosx_13_0_arm64",)),
    "windows-x86_64": Platform("Windows", "AMD64", "win32", ("win_amd64",)),
}


@click.command(
    **example(
        "python3 lab.py bundle /media/stick/lab-bundle",
        "python3 lab.py bundle lab-bundle --platform windows-x86_64 --platform macos-arm64 --python 3.12 --python 3.13",
    ),
)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--platform", "platforms", multiple=True, help="For these machines (default: this kind of machine).")
@click.option("--python", "pythons", multiple=True, help="For these Pythons, such as 3.12 (default: this one).")
def bundle(folder: Path, platforms: tuple[str, ...], pythons: tuple[str, ...]) -> None:
    """Put the lab and all that it needs into DIR: packages, Java, Kafka, flights. To use it: python3 lab.py --from DIR.

    --platform and --python may be repeated. An interrupted bundle continues when the command is run again.
    """
    require_checkout("make a bundle")
    machines, versions = known(platforms, pythons)
    size = make(Settings.from_environment(), folder, machines, versions)
    console.print(
        f"{folder} is complete: {size / 1e6:,.0f} MB, for {', '.join(machines)} and Python {', '.join(versions)}"
    )
    console.print("README.txt in it says what to type.")


def here() -> str | None:
    """Return the name of this machine's platform; None if no bundle can be made for it."""
    mine = platform.system(), platform.machine()
    return next((name for name, each in PLATFORMS.items() if (each.system, each.machine) == mine), None)


def known(platforms: Sequence[str], pythons: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return these platforms and Pythons, or this machine's if none are given. Raises LabError for unknown ones."""
    platforms = list(dict.fromkeys(platforms)) or [here() or platform.platform()]
    pythons = list(dict.fromkeys(pythons)) or [".".join(platform.python_version_tuple()[:2])]
    for what, given, there in (("platform", platforms, PLATFORMS), ("Python", pythons, PYTHONS)):
        for each in given:
            if each not in there:
                raise LabError(f"A bundle cannot be made for {what} {each!r}.", "", f"give one of: {', '.join(there)}")
    return platforms, pythons


def make(settings: Settings, folder: Path, platforms: Sequence[str], pythons: Sequence[str]) -> int:
    """Put all that these platforms and Pythons need into `folder`, and return its bytes.

    Files of an interrupted run are kept. Raises LabError for a folder with other things in it, and if a download fails.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / CONTENTS).exists():
        seen = "it contains other things, and no bundle"
        raise LabError(
            f"Made no bundle in {folder}.", seen, "give a folder that is new, or empty, or an earlier bundle"
        )
    targets = [(PLATFORMS[name], python) for name in platforms for python in pythons]
    contents = {
        "complete": False,
        "targets": [f"{each.system} {each.machine}, Python {python}" for each, python in targets],
        "requirements": jars.sha256(REQUIREMENTS),
        "files": {},
    }
    wheels = folder / "wheels"
    with storing(folder, "DIR, the folder of the bundle,"):
        wheels.mkdir(parents=True, exist_ok=True)
        _write(folder, contents)
        shutil.rmtree(folder / "lab", ignore_errors=True)
        shutil.copytree(CHECKOUT, folder / "lab", ignore=_not_copied(folder))
        example = "E:\\lab-bundle" if "windows-x86_64" in platforms else str(Path("/media/stick", folder.name))
        (folder / "README.txt").write_text(
            READ_ME.format(example=example, pythons=" or ".join(pythons)), encoding="utf-8"
        )
        (folder / "jars").mkdir(exist_ok=True)
        for jar in (*jars.ensure(settings), jmx_agent.jar(settings)):
            shutil.copy(jar, folder / "jars")
        (folder / "data").mkdir(exist_ok=True)
        shutil.copy(flights.fetch(settings), folder / "data")
        _fetch(wheels, targets)
        files = sorted([*wheels.glob("*.whl"), *(folder / "jars").glob("*.jar"), folder / "data" / flights.FILE])
        sizes = {file: file.stat().st_size for file in files}
        contents["files"] = {file.relative_to(folder).as_posix(): [sizes[file], jars.sha256(file)] for file in files}
        _write(folder, contents | {"complete": True})
    return sum(sizes.values())


def pins(target: Platform, python: str) -> list[str]:
    """Return the pins for that platform and Python, and what builds the package itself, without markers."""
    environment = {
        **{name: str(value) for name, value in default_environment().items()},
        "sys_platform": target.sys_platform,
        "platform_system": target.system,
        "platform_machine": target.machine,
        "os_name": "nt" if target.sys_platform == "win32" else "posix",
        "python_version": python,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    # A pin may be only for the first releases of this Python; the bundle is for all of them.
    environments = [{**environment, "python_full_version": f"{python}.{release}"} for release in (0, 99)]
    wanted = [Requirement(line) for line in installed.lines()]
    build = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    chosen = [
        each for each in wanted if each.marker is None or any(each.marker.evaluate(there) for there in environments)
    ]
    return [f"{canonicalize_name(each.name)}{each.specifier}" for each in (*chosen, *map(Requirement, build))]


def _fetch(wheels: Path, targets: Iterable[tuple[Platform, str]]) -> None:
    """Have pip fetch the wheels of all targets that are missing or damaged."""
    tasks = []
    for target, python in targets:
        there = _there(wheels, target, python)
        missing = [pin for pin in pins(target, python) if pin not in there]
        # Dealt like cards: pip does not take two versions of a package at once, and they are neighbours in the list.
        hands = max(2, math.ceil(len(missing) / TOGETHER))
        dealt = [missing[hand::hands] for hand in range(hands)]
        tasks += [[*_pip(target, python), "--dest", str(wheels), *those] for those in dealt if those]
    running: set[subprocess.Popen] = set()

    def run(command: list[str]) -> None:
        pip = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8")
        running.add(pip)
        _, errors = pip.communicate()
        if pip.returncode:
            raise LabError(
                "Could not fetch the lab's packages.",
                "\n".join(errors.strip().splitlines()[-3:]),
                "check the network (proxy: HTTPS_PROXY), and run the same command again: it continues",
            )

    with progress("Fetching packages", len(tasks), "part") as bar, ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for _ in pool.map(run, tasks):
                bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for pip in running:
                pip.kill()
            raise


def _there(wheels: Path, target: Platform, python: str) -> set[str]:
    """Return the pins that have a wheel for that target; delete damaged wheels."""
    version = tuple(map(int, python.split(".")))
    platforms = [each for tag in target.tags for each in _and_older(tag)]
    fitting = {
        *cpython_tags(version, platforms=platforms),
        *compatible_tags(version, f"cp{version[0]}{version[1]}", platforms),
    }
    found = set()
    for wheel in wheels.glob("*.whl"):
        name, number, _, tags = parse_wheel_filename(wheel.name)
        if tags & fitting:
            if _whole(wheel):
                found.add(f"{name}=={number}")
            else:
                wheel.unlink()
    return found


def _and_older(tag: str) -> Iterable[str]:
    """Yield the tag; a macOS tag includes older systems."""
    mac = re.fullmatch(r"macosx_(\d+)_(\d+)_(\w+)", tag)
    return mac_platforms((int(mac[1]), int(mac[2])), mac[3]) if mac else [tag]


def _whole(wheel: Path) -> bool:
    """Return whether the archive is complete and each file in it has its checksum."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError, zlib.error):
        return False


def _pip(target: Platform, python: str) -> list[str]:
    """Return the beginning of a `pip download` for that target, on any machine."""
    marks = python_marks(Settings.from_environment(), "program")
    pip = [sys.executable, *marks, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    # The pins are complete: nothing needs to be resolved. And "3.11" means 3.11.0, which some packages are too new for.
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--python-version", python]
    abis = [option for abi in (f"cp{python.replace('.', '')}", "abi3", "none") for option in ("--abi", abi)]
    return [*pip, *options, "--implementation", "cp", *abis, *(f"--platform={tag}" for tag in target.tags)]


def _not_copied(folder: Path):
    by_name = shutil.ignore_patterns(*NOT_COPIED)

    def ignored(parent: str, names: list[str]) -> set[str]:
        own = {name for name in names if Path(parent, name).resolve() == folder.resolve()}  # a bundle in the checkout
        return by_name(parent, names) | own

    return ignored


def _write(folder: Path, contents: dict) -> None:
    write_atomically(folder / CONTENTS, json.dumps(contents, indent=1) + "\n")
