"""Identify a process by its pid and start time: a pid alone may have been reused.

Imports next to nothing, so that the warden, which runs beside every lab, stays small.
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


def started(pid: int) -> str | None:
    """Return when the process started, as text that never changes; None if there is no such process.

    On Linux in ticks since boot, with the boot: the wall-clock time that psutil reports moves when the clock is
    corrected. A process that is dead but not yet reaped by its parent counts as gone.
    """
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            fields = stat.rpartition(")")[2].split()  # from the third of proc(5); a name may hold anything
            return f"{fields[19]}.{BOOT}" if fields[0] not in "ZXx" else None
        except (OSError, IndexError):
            return None
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
