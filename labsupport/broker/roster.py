"""What of this lab runs on this machine, and stopping it.

Every process that the lab starts carries three marks on its command line: the home it belongs to, its role, and who
started it. So it is found even if its files were deleted or its starter was killed.
"""

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psutil

from labsupport.base import Settings, digest
from labsupport.broker.process import Process, started

# Nobody needs them any more, once the program that it was started for has gone.
FOR_THEIR_OWNER = ("private", "program", "training-broker")
ROLES = ("background", *FOR_THEIR_OWNER, "training", "jupyter")


def marks(settings: Settings, role: str) -> list[str]:
    """The marks of a process in this `role` (one of ROLES), started by this program."""
    owner = f"{os.getpid()}:{started(os.getpid())}"
    return [f"lab.home={digest(str(settings.home))}", f"lab.role={role}", f"lab.owner={owner}"]


def java_marks(settings: Settings, role: str) -> list[str]:
    """The marks as Java system properties."""
    return [f"-D{mark}" for mark in marks(settings, role)]


def python_marks(settings: Settings, role: str) -> list[str]:
    """The marks as implementation options of the Python interpreter."""
    return [word for mark in marks(settings, role) for word in ("-X", mark)]


@dataclass(frozen=True)
class Running:
    """A process of this lab, as it was found. `owner` is the pid of the program that started it.

    `orphan` says whether it had outlived the program that it was meant for.
    """

    process: Process
    role: str
    owner: int
    orphan: bool


def read_marks(command_line: Sequence[str]) -> dict[str, str]:
    """The marks on a command line; empty unless all three stand where Java or Python takes them.

    The same words as arguments of any other program are not marks.
    """
    words = [word[2:] for word in command_line if word.startswith("-Dlab.")]
    words += [word for option, word in itertools.pairwise(command_line) if option == "-X"]
    said = dict(word.split("=", 1) for word in words if word.startswith("lab.") and "=" in word)
    pid, _, began = said.get("lab.owner", "").partition(":")
    good = said.get("lab.role") in ROLES and "lab.home" in said and pid.isdecimal() and began
    return said if good else {}


def running(settings: Settings, roles: Iterable[str] = ROLES) -> list[Running]:
    """The processes of this lab in these roles, wherever they were started."""
    home, _, _ = marks(settings, "background")
    found = []
    for process in psutil.process_iter(["cmdline"]):
        said = read_marks(process.info["cmdline"] or [])
        if said and home == f"lab.home={said['lab.home']}" and said["lab.role"] in roles:
            pid, _, began_owner = said["lab.owner"].partition(":")
            if began := started(process.pid):
                role = said["lab.role"]
                described = Process(f"{role} process", process.pid, began, settings.home / f"{role}.log")
                orphan = role in FOR_THEIR_OWNER and started(int(pid)) != began_owner
                found.append(Running(described, role, int(pid), orphan))
    return found


def stop(those: Sequence[Running]) -> None:
    """Stop these processes; cleanly where there is something to keep, at once where there is not."""
    # The training run's Python first: it stops its broker itself, and must not start another.
    for each in sorted(those, key=lambda each: each.role != "training"):
        if each.role in FOR_THEIR_OWNER:
            each.process.kill()
        else:
            each.process.stop(15)
