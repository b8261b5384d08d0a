"""The owners of a home: programs that have started something there, or use its broker. A file for each.

A file outlives a program that is killed; whether that one lives, its pid and start time say. Like identity.py this
needs next to nothing, for the warden's sake.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from labsupport.broker.identity import lives

TEMPORARY = "temporary"  # a file in a home that is deleted when its last owner has gone


class Owner(NamedTuple):
    """A program that owns processes of a lab. `uses` says whether it needs the background broker.

    `ends_with` is the identity of the program that it must not outlive; empty if there is none.
    """

    identity: str
    uses: bool = False
    ends_with: str = ""

    @property
    def lives(self) -> bool:
        """Whether it runs and is meant to."""
        return lives(self.identity) and (not self.ends_with or lives(self.ends_with))


def read(home: Path) -> Iterator[Owner]:
    """Those that stand in the home, alive or not."""
    for file in (home / "owners").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, TypeError):  # deleted meanwhile, or the disk was full
            yield Owner(*json.loads(file.read_text(encoding="utf-8")))


def file_of(home: Path, identity: str) -> Path:
    """Where the owner with this identity stands."""
    return home / "owners" / identity.replace(":", "-")


def used(home: Path) -> bool:
    """Whether somebody who lives needs the background broker, or `up` asked for it to be kept."""
    return keep_mark(home).exists() or any(owner.uses and owner.lives for owner in read(home))


def keep_mark(home: Path) -> Path:
    """The file that says that the background broker stays until it is stopped on purpose."""
    return home / "keep-broker"
