"""Where progress and notes are shown, in a terminal and in a notebook."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")


PATIENCE = 1.5  # seconds of silence before something says what it is waiting for


# Where it says so; None is stderr. A notebook shows stderr on red, as it shows errors, and a line taken back stays red.
NOTES = sys.stdout if type(sys.stdout).__module__.startswith("ipykernel") else None


# All in one line: a second one would be reached by moving the cursor up, which a notebook does not do.
QUIET = {"delay": PATIENCE, "leave": False, "position": 0, "file": NOTES}


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 record`, `2 records`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def progress(
    what: str, total: float | None = None, unit: str = "it", *, over: Iterable[T] | None = None, scale: bool = False
) -> "tqdm[T]":
    """A progress bar, in a terminal and in a notebook alike, for what takes longer than 1.5 s.

    Call its `update(n)`, or go through `over` by it; then `total` is needed only if `over` does not know its length.
    """
    from tqdm import tqdm

    return tqdm(over, desc=what, total=total, unit=unit, unit_scale=scale, ncols=88, **QUIET)
