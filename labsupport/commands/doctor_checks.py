"""The doctor's checks of the machine, before Java and Kafka: Python, packages, files, disk, memory.

Standard library only, so that they still run when nothing else can be imported.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labsupport.errors import LabError
from labsupport.setup import installed, obstacles

WINDOWS = sys.platform == "win32"
LAB = "py lab.py" if WINDOWS else "python3 lab.py"
OLDEST_PYTHON = (3, 11)
DISK_NEEDED, MEMORY_NEEDED = 300_000_000, 600_000_000  # bytes


@dataclass(frozen=True)
class Line:
    """One line of the doctor: what was checked, whether it is fine, what was seen, and what to type if it is not."""

    what: str
    ok: bool
    seen: str
    next_step: str = ""


def afresh(path: Path, command: str = "") -> str:
    """Return the command that deletes `path` and has it made again."""
    delete = f'rm -r "{path}"' if not WINDOWS else f'del "{path}"' if path.is_file() else f'rmdir /s /q "{path}"'
    return f"{delete} && {LAB} {command}".rstrip()


def careful(what: str, check: Callable[[], Line]) -> Line:
    """Return the check's line; a check that raises becomes a line too."""
    try:
        return check()
    except LabError as error:
        return Line(what, False, f"{error.tried} {error.seen}", error.next_step)
    except Exception as error:
        changed = installed.wrong()  # then another line says so
        return Line(what, False, f"{type(error).__name__}: {error}", f"{LAB} setup" if changed else LAB)


def python(running: tuple[int, ...] = sys.version_info[:3]) -> Line:
    """Check the Python that runs the lab."""
    shown = ".".join(map(str, running[:3]))
    good = running[:2] >= OLDEST_PYTHON
    return Line("Python", good, f"{shown} at {sys.executable}", "python3.13 lab.py")


def packages(requirements: Path = installed.REQUIREMENTS) -> Line:
    """Compare what is installed with the pins; another package can have overwritten one of them."""
    wrong = installed.wrong(requirements)
    seen = "; ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
    return Line("packages", not wrong, seen or f"{len(installed.pins(requirements))} as pinned", f"{LAB} setup")


def own_files(folders: Sequence[Path]) -> Line:
    """Check that no file of the learner's, such as kafka.py or random.py, hides a module in these folders."""
    found = [file for each in dict.fromkeys(folders) for file in obstacles.hiding([str(each), *sys.path])]
    seen = ", ".join(f"{each} hides the module {each.name.partition('.')[0]}" for each in found[:3])
    move = "ren" if WINDOWS else "mv"
    names = [
        f'{move} "{each}" "{f"my_{each.name}" if WINDOWS else each.with_name(f"my_{each.name}")}"' for each in found
    ]
    return Line("your files", not found, seen or "none hides a module", " && ".join(names[:3]))


def disk(folders: Sequence[Path], needed: int = DISK_NEEDED) -> Line:
    """Check the free space where the lab writes."""
    there = [next(each for each in (folder, *folder.parents) if each.exists()) for folder in folders]
    free, where = min((shutil.disk_usage(folder).free, folder) for folder in there)
    return Line("disk", free >= needed, f"{free / 1e9:.1f} GB free at {where}", f"free {needed / 1e6:.0f} MB there")


def memory(available: int | None = None, needed: int = MEMORY_NEEDED) -> Line:
    """Check that there is memory for a broker, JupyterLab and a kernel."""
    import psutil

    available = psutil.virtual_memory().available if available is None else available
    seen = f"{available / 1e9:.1f} GB available"
    return Line("memory", available >= needed, seen, f"close programs: the lab needs {needed / 1e6:.0f} MB")


def lessons(source: Path, copies: Path) -> Line:
    """Check that the learner's copies can be read."""
    broken = []
    for copy in sorted(copies.glob("*.ipynb")):
        try:
            json.loads(copy.read_text(encoding="utf-8"))["cells"]
        except (ValueError, KeyError, TypeError):
            broken.append(copy.name)
    there = len(list(copies.glob("*.ipynb")))
    seen = (
        f"cannot be read: {', '.join(broken)}"
        if broken
        else f"{there} in work/, {len(list(source.glob('*.ipynb')))} in all"
    )
    move = "ren" if WINDOWS else "mv"
    names = [f'"{copies / name}" "{name if WINDOWS else copies / name}.broken"' for name in broken[:1]]
    return Line("lessons", not broken, seen, f"{move} {' '.join(names)} && {LAB}")


def runs_programs(folder: Path) -> Line:
    """Check that libraries can be loaded from `folder`, where Java unpacks Kafka's for snappy and zstd."""
    refused = hasattr(os, "ST_NOEXEC") and bool(os.statvfs(folder).f_flag & os.ST_NOEXEC)
    seen = (
        f"{folder} is mounted with noexec: the broker cannot read or write snappy and zstd" if refused else str(folder)
    )
    return Line("temporary folder", not refused, seen, f"sudo mount -o remount,exec {_mount_point(folder)}")


def _mount_point(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.is_mount())


def begin(work: Path) -> list[tuple[str, Callable[[], Line]]]:
    """Return the first checks, by name: those that need nothing but Python."""
    return [("Python", python), ("packages", packages), ("your files", lambda: own_files([work, Path.cwd()]))]


def shown(line: Line) -> str:
    """Format the line as the doctor prints it."""
    return (
        f"  ok   {line.what}: {line.seen}" if line.ok else f"wrong  {line.what}: {line.seen}\n       → {line.next_step}"
    )
