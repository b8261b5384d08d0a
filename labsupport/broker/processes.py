"""Find the lab's processes on this machine, and their owners; stop them.

Every process that the lab starts carries three marks on its command line: its home, its role, and the program that
started it. So it is found even if its files were deleted or that program was killed. That program is recorded as the
owner in the home's folder `owners`, and a watchdog (watchdog.py) ends what outlives its owner.
"""

import contextlib
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from labsupport.broker import owners
from labsupport.broker.identity import identity, lives, started
from labsupport.broker.owners import Owner
from labsupport.broker.process import Process, write_atomically
from labsupport.files import digest
from labsupport.interrupts import interrupts_wait
from labsupport.settings import Settings
from labsupport.waiting import only_one

# Of no use after the program that they were started for.
FOR_THEIR_OWNER = ("private", "private-registry", "program", "training-broker")
END_WITH_OWNER = (*FOR_THEIR_OWNER, "jupyter")
# Used by many; they end with the last program that uses the broker, unless `up` asked to keep it.
SHARED = ("registry", "background", "training")
CLASS = "class"  # the class's broker, which only `down` and `class stop` end
ROLES = (*SHARED, *FOR_THEIR_OWNER, "jupyter", CLASS)
WATCHDOG = "watchdog"


def marks(settings: Settings, role: str) -> list[str]:
    """Return the marks of a process in this `role` (one of ROLES) that ends with this program."""
    register(settings)
    return _marks(settings, role)


def java_marks(settings: Settings, role: str) -> list[str]:
    """Return the marks as Java system properties."""
    return [f"-D{mark}" for mark in marks(settings, role)]


def python_marks(settings: Settings, role: str) -> list[str]:
    """Return the marks as -X options of the Python interpreter."""
    return _options(marks(settings, role))


def _marks(settings: Settings, role: str) -> list[str]:
    return [f"lab.home={digest(str(settings.home))}", f"lab.role={role}", f"lab.owner={identity()}"]


def _options(marks: Sequence[str]) -> list[str]:
    return [word for mark in marks for word in ("-X", mark)]


def postgres_marks(settings: Settings, role: str) -> list[str]:
    """Return the marks as settings of PostgreSQL, which takes those of other programs if their names have a dot."""
    return [word for mark in marks(settings, role) for word in ("-c", mark)]


# Owners

_ends_with: list[str] = []  # the identity of the program that this one must not outlive, if there is one


def end_with(pid: int) -> None:
    """Make this program, once it owns something, end with that process."""
    _ends_with[:] = [identity(pid)]


def hub_server() -> str:
    """Return the identity of the user's server if JupyterHub has started it and it this program, else empty.

    That is the outermost ancestor with JUPYTERHUB_USER: the hub has none, or is another user's.
    """
    server = ""
    if user := os.environ.get("JUPYTERHUB_USER"):
        with contextlib.suppress(psutil.Error):
            for each in psutil.Process().parents():
                if each.environ().get("JUPYTERHUB_USER") != user:
                    break
                server = identity(each.pid)
    return server


def register(settings: Settings, *, uses: bool | None = None) -> None:
    """Make this program an owner in the lab's home, and start the home's watchdog if none runs.

    `uses`: whether it needs the background broker; None leaves that as it is. A notebook's kernel ends with the
    program that started it, and under JupyterHub every program with the user's server.
    """
    if os.environ.get("JPY_PARENT_PID") == str(os.getppid()):  # Jupyter sets this for its kernels
        end_with(os.getppid())
    elif not _ends_with and (server := hub_server()):
        _ends_with[:] = [server]
    with registering(settings):
        file = owners.file_of(settings.home, identity())
        before = next((owner for owner in owners.read(settings.home) if owner.identity == identity()), None)
        now = Owner(identity(), bool(before and before.uses) if uses is None else uses, "".join(_ends_with))
        if now != before:
            write_atomically(file, json.dumps(now))
        if Process.recorded(watchdog_record(settings.home)) is None:
            words = [
                *_options(_marks(settings, WATCHDOG)),
                "-P",
                "-m",
                "labsupport.broker.watchdog",
                str(settings.home),
            ]
            with interrupts_wait():
                log, nowhere = settings.home / "watchdog.log", Path(tempfile.gettempdir())
                watchdog = Process.start("the watchdog", [sys.executable, *words], log, cwd=nowhere)
                watchdog.record(watchdog_record(settings.home))


def unregister(settings: Settings) -> None:
    """Remove this program from the owners: nothing of it runs in the lab's home any more."""
    owners.file_of(settings.home, identity()).unlink(missing_ok=True)


def leave(settings: Settings) -> bool:
    """For the watchdog: return whether no owner is left. The next program to register starts another watchdog."""
    with registering(settings):
        if any(owners.read(settings.home)):
            return False
        watchdog = Process.recorded(watchdog_record(settings.home))
        if watchdog and watchdog.pid == os.getpid():
            watchdog_record(settings.home).unlink()
    return True


def registering(settings: Settings) -> contextlib.AbstractContextManager[None]:
    """Let one program at a time register or leave."""
    return only_one(settings.home / "owners.lock", "starting to use the lab", timeout=60)


def watchdog_record(home: Path) -> Path:
    """Return the file that records the home's watchdog."""
    return home / "watchdog.json"


def broker_lock(settings: Settings) -> Path:
    """Return the file that a program locks while it starts or stops the background broker."""
    return settings.home / "broker.lock"


# What runs


@dataclass(frozen=True)
class Running:
    """A process of this lab, as it was found. `owner` is the pid of the program that started it.

    `orphan`: whether it has outlived the program that it was started for.
    """

    process: Process
    role: str
    owner: int
    orphan: bool


def read_marks(command_line: Sequence[str]) -> dict[str, str]:
    """Return the marks on a command line; empty unless all three are where Java, Python or PostgreSQL expects options.

    The same words as arguments of another program are not marks.
    """
    words = [word[2:] for word in command_line if word.startswith("-Dlab.")]
    words += [word for option, word in itertools.pairwise(command_line) if option in ("-X", "-c")]
    said = dict(word.split("=", 1) for word in words if word.startswith("lab.") and "=" in word)
    pid, _, began = said.get("lab.owner", "").partition(":")
    good = said.get("lab.role") in (*ROLES, WATCHDOG) and "lab.home" in said and pid.isdecimal() and began
    return said if good else {}


def running(settings: Settings, roles: Iterable[str] = ROLES) -> list[Running]:
    """Return the processes of this lab in these roles, whichever program started them."""
    home = digest(str(settings.home))
    found: dict[int, tuple[Running, int]] = {}  # with the pid of its parent
    for process in psutil.process_iter(["cmdline", "ppid"]):
        said = read_marks(process.info["cmdline"] or [])
        if said and said["lab.home"] == home and said["lab.role"] in roles and (began := started(process.pid)):
            role = said["lab.role"]
            described = Process(f"{role} process", process.pid, began, settings.home / f"{role}.log")
            orphan = role in END_WITH_OWNER and not lives(said["lab.owner"])
            one = Running(described, role, int(said["lab.owner"].partition(":")[0]), orphan)
            found[process.pid] = (one, process.info["ppid"])

    def becomes_another(role: str, parent: int) -> bool:
        """A child with its parent's command line has just been forked. The fork server's stay as they are."""
        return role != "program" and parent in found and found[parent][0].role == role

    return [each for each, parent in found.values() if not becomes_another(each.role, parent)]


def stop(those: Sequence[Running]) -> None:
    """Stop these processes: cleanly if they have data to keep, else at once."""
    # The training run's Python first: it stops its broker itself, and must not start another.
    for each in sorted(those, key=lambda each: each.role != "training"):
        if each.role in FOR_THEIR_OWNER or each.orphan:
            each.process.kill()
        else:
            each.process.stop(15)


def sweep(settings: Settings) -> list[Running]:
    """Stop what ended programs had started for themselves, and delete their files; returns what ran."""
    orphans = [each for each in running(settings, END_WITH_OWNER) if each.orphan]
    stop(orphans)
    for folder in (settings.home / "private").glob("*-*"):
        if (folder / "owner.json").exists() and Process.recorded(folder / "owner.json") is None:
            shutil.rmtree(folder, ignore_errors=True)
    return orphans
