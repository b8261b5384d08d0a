"""What is installed, against what is pinned: versions, and whether the code is the one that was installed."""

import csv
import os
import platform
import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
REQUIREMENTS = CHECKOUT / "requirements.txt"


def wrong(requirements: Path = REQUIREMENTS) -> list[str]:
    """A sentence for each pinned package that is missing, has another version, or whose files were changed since."""
    # The first on the path is the one that is imported.
    there = {canonical(each.name): each for each in reversed([*distributions()]) if each.name}
    told = []
    for name, version in pins(requirements).items():
        if (found := there.get(canonical(name))) is None:
            told.append(f"{name} is missing, pinned {version}")
        elif found.version.partition("+")[0] != version:
            told.append(f"{name} is {found.version}, pinned {version}")
        elif file := altered(found):
            told.append(f"{file} of {name} was changed or deleted{_by(file, name, there.values())}")
    return told


def pins(requirements: Path = REQUIREMENTS) -> dict[str, str]:
    """Name and version of each pinned package that this machine needs."""
    found = {}
    for line in requirements.read_text(encoding="utf-8").splitlines():
        pin, _, marker = line.partition(";")
        if "==" in pin and not pin.startswith(("#", "-")) and (not marker.strip() or holds(marker)):
            name, _, version = pin.partition("==")
            found[name.partition("[")[0].strip()] = version.strip()  # without its extras
    return found


class _Version(str):
    """A version that is compared by its numbers: 3.11.10 comes after 3.11.9."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return _numbers(self) < _numbers(other)

    def __ge__(self, other: str) -> bool:
        return not self < other


def _numbers(version: str) -> list[int]:
    return [int(each) for each in re.findall(r"\d+", version)]


def holds(marker: str) -> bool:
    """Whether an environment marker of requirements.txt holds here. It reads as Python."""
    names = {
        "sys_platform": sys.platform,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "implementation_name": sys.implementation.name,
        "python_full_version": _Version(platform.python_version()),
        "python_version": _Version(f"{sys.version_info.major}.{sys.version_info.minor}"),
    }
    return bool(eval(marker.strip(), {"__builtins__": {}}, names))


def altered(package: Distribution) -> str:
    """The first module of `package` that is gone, or not as large as when it was installed; empty if all is well."""
    for name, size in _files(package):
        try:
            if size and Path(str(package.locate_file(name))).stat().st_size != int(size):
                return name
        except OSError:
            return name
    return ""


def _files(package: Distribution) -> list[tuple[str, str]]:
    """Name and size of its modules. Data is left out: companies add their certificates to certifi's, for example."""
    rows = csv.reader((package.read_text("RECORD") or "").splitlines())
    return [(row[0], row[2]) for row in rows if len(row) == 3 and row[0].endswith((".py", ".so", ".pyd"))]


def _by(file: str, owner: str, packages: Iterable[Distribution]) -> str:
    """Which other package has brought a file of that name."""
    those = (each for each in packages if canonical(each.name) != canonical(owner))
    other = next((each for each in those if any(file == name for name, _ in _files(each))), None)
    return f" (by the package {other.name} {other.version})" if other else ""


def canonical(name: str) -> str:
    """The name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
