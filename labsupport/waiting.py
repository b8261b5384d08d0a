"""Waits with a deadline: for a condition, or for another program."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from labsupport.console import PATIENCE, waiting_note
from labsupport.errors import LabError

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")


def until(condition: Callable[[], T], timeout: float, what: str, *, every: float = 0.02, next_step: str = "") -> T:
    """Call `condition` until it returns something true, and return that; after 1.5 s say what it waits for.

    `timeout` and `every` are seconds on the monotonic clock. Raises LabError, which names `what`, after `timeout`.
    """
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        note: tqdm | None = None
        while not (result := condition()):
            waited = time.monotonic() - begin
            if waited >= timeout:
                raise LabError(f"Waited {timeout:g} s for {what}.", "it did not happen", next_step)
            if note is None and waited >= PATIENCE:
                note = stack.enter_context(waiting_note(what, waited))
            if note is not None:
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
