"""Moments in a file, a line each: how a process that is about to die says where it was, and others read it."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from kafka import TopicPartition

from labsupport.delivery.moments import Moment


def appending(path: Path) -> Callable[[Moment], None]:
    """A hook that appends each moment to the file; each line is written at once, so that a crash loses none."""

    def append(moment: Moment) -> None:
        line = json.dumps(asdict(moment), ensure_ascii=True).encode() + b"\n"
        # Unbuffered and in append mode: a line is one write, also while other processes write to the same file.
        with path.open("ab", buffering=0) as file:
            file.write(line)

    return append


def read(path: Path) -> tuple[Moment, ...]:
    """The moments in the file, in the order in which they were written; none if there is no such file."""
    if not path.exists():
        return ()
    whole, _, _ = path.read_text(encoding="ascii").rpartition("\n")  # the last line may be on its way
    return tuple(_moment(line) for line in whole.splitlines())


def _moment(line: str) -> Moment:
    fields = json.loads(line)
    return Moment(**fields | {"partitions": tuple(TopicPartition(*each) for each in fields["partitions"])})
