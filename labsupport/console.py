"""Progress bars and notes, in a terminal and in a notebook."""

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")


PATIENCE = 1.5  # seconds of silence before a wait says what it waits for


# None is stderr. A notebook shows stderr on red, like an error, and the red stays when the line is erased.
NOTES = sys.stdout if type(sys.stdout).__module__.startswith("ipykernel") else None


# On one line: tqdm reaches a second one by moving the cursor up, which a notebook cannot do.
QUIET = {"delay": PATIENCE, "leave": False, "position": 0, "file": NOTES}


def note(words: str) -> None:
    """Say something beside a program's own output: on stderr, in a notebook on stdout."""
    print(words, file=NOTES or sys.stderr, flush=True)


def waiting_note(what: str, waited: float) -> "tqdm":
    """Return a line that says what a wait, begun `waited` seconds ago, waits for; call its `update()`.

    Most waits end before anything is said. So tqdm is imported only here: that takes longer than they do.
    """
    from tqdm import tqdm

    note: tqdm = tqdm(bar_format="waiting for {desc} … {elapsed}", desc=what, mininterval=0.5, **QUIET)
    note.start_t = note.last_print_t = time.time() - waited
    return note


def counted(number: int, noun: str, plural: str = "") -> str:
    """Format a number with its noun: `1 record`, `2 records`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def progress(
    what: str, total: float | None = None, unit: str = "it", *, over: Iterable[T] | None = None, scale: bool = False
) -> "tqdm[T]":
    """Return a progress bar, which appears after 1.5 s, in a terminal and in a notebook alike.

    Call its `update(n)`, or iterate over `over` with it; then `total` is needed only if `over` has no length.
    """
    from tqdm import tqdm

    return tqdm(over, desc=what, total=total, unit=unit, unit_scale=scale, ncols=88, **QUIET)
