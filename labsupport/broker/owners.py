"""The owners of a home: programs that started something there, or use its broker. Each has a file.

The file of a killed program stays; pid and start time in it tell whether the program lives. Like identity.py this
imports next to nothing, for the watchdog's sake.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from labsupport.broker.identity import lives

TEMPORARY = "temporary"  # marks a home that is deleted with its last owner


class Owner(NamedTuple):
    """A program that owns processes of a lab. `uses`: whether it needs the background broker.

    `ends_with`: the identity of the program that it must not outlive, or empty.
    """

    identity: str
    uses: bool = False
    ends_with: str = ""

    @property
    def lives(self) -> bool:
        """Whether it runs, and so does the program that it must not outlive."""
        return lives(self.identity) and (not self.ends_with or lives(self.ends_with))


def read(home: Path) -> Iterator[Owner]:
    """Yield the owners recorded in the home, alive or not."""
    for file in (home / "owners").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, TypeError):  # deleted meanwhile, or the disk was full
            yield Owner(*json.loads(file.read_text(encoding="utf-8")))


def file_of(home: Path, identity: str) -> Path:
    """Return the file of the owner with this identity."""
    return home / "owners" / identity.replace(":", "-")


def used(home: Path) -> bool:
    """Return whether a living program needs the background broker, or `up` asked to keep it."""
    keeper = kept_until(home)
    kept = keeper is not None and (not keeper or lives(keeper))
    return kept or any(owner.uses and owner.lives for owner in read(home))


def keep_mark(home: Path) -> Path:
    """Return the file whose presence keeps the background broker until `down`, or until the program that it names."""
    return home / "keep-broker"


def kept_until(home: Path) -> str | None:
    """Return the identity of the program whose end ends the broker; empty: only `down` does; None: nobody keeps it."""
    try:
        return keep_mark(home).read_text(encoding="utf-8")
    except OSError:
        return None
