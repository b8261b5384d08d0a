"""What can be broken, on purpose and in one line. Lesson 03 freezes a broker, lesson 04 kills a consumer."""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from labsupport.base import LabError
from labsupport.broker.cluster import Cluster
from labsupport.broker.embedded import EmbeddedBroker
from labsupport.experiments import program

KILLED = 137  # the exit code of a process that was killed (128 + 9), as a shell reports it


@contextlib.contextmanager
def paused(broker: EmbeddedBroker) -> Iterator[None]:
    """Frozen for the body of a `with`; afterwards it runs and answers again, whatever happened inside."""
    broker.pause()
    try:
        yield
    finally:
        broker.start()


@contextlib.contextmanager
def stopped(broker: EmbeddedBroker) -> Iterator[None]:
    """Stopped cleanly for the body of a `with`; afterwards it runs and answers again, whatever happened inside."""
    broker.stop()
    try:
        yield
    finally:
        broker.start()


@dataclass(frozen=True)
class Run:
    """How a program of its own process went: the lines it printed, and the point at which it was killed, if it was."""

    lines: tuple[str, ...]
    killed_at: str = ""

    def __repr__(self) -> str:
        end = f"killed at {self.killed_at!r}" if self.killed_at else "ended"
        return "\n".join((*self.lines, end))


def run(kafka: Cluster, service: Callable, *arguments: Any, kill_at: str = "", nth: int = 1) -> Run:
    """Run `service(kafka, at, *arguments)` in a process of its own; kill it when it calls `at(kill_at)` the nth time.

    `kafka` is there a handle of its own on the same cluster; `at("processed")` names a point of the service and does
    nothing else. To be killed means: at once, with nothing closed, committed or tidied up. Raises LabError if the
    service raises, and if it ends without having been at that point so often.
    """
    if not isinstance(nth, int) or nth < 1:
        raise LabError(f"nth is {nth!r}.", "the points are counted from 1", "give a whole number from 1")
    name = getattr(service, "__name__", "the program")
    ended = program.run(_serve, kafka.bootstrap, kafka.prefix, service, arguments, kill_at, nth, name=name)
    if ended.code == KILLED:
        return Run(tuple(ended.printed.splitlines()), kill_at)
    if ended.code:
        raise LabError(f"{name} raised.", ended.printed[-1500:], "mend it, and run the cell again")
    passed = ended.returned
    if kill_at:
        seen = ", ".join(f"{point!r} {times} times" for point, times in passed.items()) or "no point at all"
        raise LabError(
            f"{name} was to be killed at {kill_at!r}, time {nth}, and ended before.",
            f"it was at {seen}",
            "is the name misspelt, or the number too high?",
        )
    return Run(tuple(ended.printed.splitlines()))


def _serve(bootstrap: str, prefix: str, service: Callable, arguments: tuple, kill_at: str, nth: int) -> dict[str, int]:
    """In the process of its own: call the service; returns how often it was at each of its points."""
    passed: Counter[str] = Counter()

    def at(point: str) -> None:
        passed[point] += 1
        if point == kill_at and passed[point] == nth:
            os._exit(KILLED)  # no `finally`, no closing of clients, no exit handlers: as kill -9

    with Cluster(bootstrap, prefix=prefix) as kafka:
        service(kafka, at, *arguments)
    return dict(passed)
