"""Moments in a file, a line each: how a process that is about to die says where it was, and others read it."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from kafka import TopicPartition

from labsupport.events.worker import Moment


def appending(path: Path) -> Callable[[Moment], None]:
    """A hook that appends each moment to the file; each line is written at once, so that a crash loses none."""
    # Unbuffered and in append mode: a line is one write, also while other processes write to the same file.
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(moment: Moment) -> None:
        os.write(file, json.dumps(asdict(moment), ensure_ascii=True).encode() + b"\n")

    return append


def read(path: Path) -> tuple[Moment, ...]:
    """The moments in the file, in the order in which they were written; none if there is no such file."""
    if not path.exists():
        return ()
    lines = path.read_text(encoding="ascii").splitlines()
    return tuple(_moment(line) for line in lines)


def _moment(line: str) -> Moment:
    fields = json.loads(line)
    return Moment(**fields | {"places": tuple(TopicPartition(*place) for place in fields["places"])})
