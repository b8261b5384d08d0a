"""Which process has a lesson open. Two kernels with the same lesson would delete each other's topics."""

import os
from pathlib import Path

from labsupport.broker.process import Process, started
from labsupport.settings import Settings


def take(settings: Settings, number: str) -> int | None:
    """Record that this process opened lesson `number`; returns the pid of another that has it open, if it runs."""
    record, other = _record(settings, number), taken(settings, number)
    Process(f"lesson {number}", os.getpid(), started(os.getpid()) or "", record).record(record)
    return other


def taken(settings: Settings, number: str) -> int | None:
    """The pid of the other process that opened the lesson last, if it runs."""
    other = Process.recorded(_record(settings, number))
    return other.pid if other and other.pid != os.getpid() else None


def elsewhere(settings: Settings) -> set[str]:
    """The numbers of the lessons that other processes have open."""
    numbers = [record.stem for record in (settings.home / "lessons").glob("*.json")]
    return {number for number in numbers if taken(settings, number)}


def release(settings: Settings, number: str) -> None:
    """Forget that this process had the lesson open, unless another has opened it since."""
    if not taken(settings, number):
        _record(settings, number).unlink(missing_ok=True)


def _record(settings: Settings, number: str) -> Path:
    return settings.home / "lessons" / f"{number}.json"
