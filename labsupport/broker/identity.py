"""Which process: its pid and the moment it started, because the number alone may be somebody else's by now.

It needs next to nothing, so that the warden, which runs beside every lab, stays small.
"""

import os
import sys
from pathlib import Path


def _boot() -> str:
    """A word for the time since this machine was started; empty where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        return ""


BOOT = _boot()


def started(pid: int) -> str | None:
    """When the process began, as a word that stays the same for its whole life; None if there is no such process.

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
    """`pid:began` of that process, or of this one."""
    pid = pid or os.getpid()
    return f"{pid}:{started(pid)}"


def lives(identity: str) -> bool:
    """Whether the process with this identity still runs; one that is frozen does."""
    pid, _, began = identity.partition(":")
    return pid.isdecimal() and began != "" and started(int(pid)) == began
