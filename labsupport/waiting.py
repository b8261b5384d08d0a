"""Waits with a deadline: for a condition, or for another program."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from labsupport.console import QUIET
from labsupport.errors import LabError

T = TypeVar("T")


# The signals of Ctrl-C, `kill` and a closed terminal (Windows has no SIGHUP).
INTERRUPTS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def until(condition: Callable[[], T], timeout: float, what: str, *, every: float = 0.02, next_step: str = "") -> T:
    """Call `condition` until it returns something true, and return that; after 1.5 s say what it waits for.

    `timeout` and `every` are seconds on the monotonic clock. Raises LabError, which names `what`, after `timeout`.
    """
    from tqdm import tqdm

    begin = time.monotonic()
    note_format = "waiting for {desc} … {elapsed}"
    with tqdm(bar_format=note_format, desc=what, mininterval=0.5, **QUIET) as note:
        while not (result := condition()):
            if time.monotonic() - begin >= timeout:
                raise LabError(f"Waited {timeout:g} s for {what}.", "it did not happen", next_step)
            note.update()
            time.sleep(every)
        return result


@contextlib.contextmanager
def only_one(lock: Path, what: str, timeout: float = 600) -> Iterator[None]:
    """Hold the file `lock` for the body of a `with`, so that one program at a time does `what`.

    The system releases the lock of a program that dies. Raises LabError after `timeout` seconds.
    """
    from filelock import FileLock, Timeout

    lock.parent.mkdir(parents=True, exist_ok=True)
    file_lock = FileLock(lock)

    def acquired() -> bool:
        try:
            file_lock.acquire(timeout=0)
            return True
        except Timeout:
            return False

    until(acquired, timeout, f"another program to finish {what}", every=0.05)
    try:
        yield
    finally:
        file_lock.release()
