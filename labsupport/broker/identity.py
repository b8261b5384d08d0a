"""Identify a process by its pid and start time: a pid alone may have been reused.

Imports next to nothing, so that the watchdog, which runs beside every lab, stays small.
"""

import os
import sys
from pathlib import Path


def _boot() -> str:
    """Return the id of this boot of the machine; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        return ""


BOOT = _boot()


def status(pid: int) -> tuple[str, str]:
    """Return a process's state on Linux, a letter such as T for frozen (X: there is none), and its start in ticks.

    E: it is dead (Z), but threads of it are not, and its files and ports are still open.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - asked very often
            fields = file.read().rpartition(")")[2].split()  # from the third of proc(5); a name may hold anything
        return "E" if fields[0] == "Z" and int(fields[17]) > 1 else fields[0], fields[19]
    except (OSError, IndexError):
        return "X", ""


def started(pid: int) -> str | None:
    """Return when the process started, as text that never changes; None if there is no such process.

    On Linux in ticks since boot, with the boot: the wall-clock time that psutil reports moves when the clock is
    corrected. A process that is dead but not yet reaped by its parent counts as gone.
    """
    if sys.platform == "linux":
        state, began = status(pid)
        return f"{began}.{BOOT}" if state not in "ZXx" else None
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.Error:
        return None


def identity(pid: int | None = None) -> str:
    """Return `pid:began` of that process, or of this one."""
    pid = pid or os.getpid()
    return f"{pid}:{started(pid)}"


def lives(identity: str) -> bool:
    """Return whether the process with this identity still runs; a frozen one does."""
    pid, _, began = identity.partition(":")
    return pid.isdecimal() and began != "" and started(int(pid)) == began
