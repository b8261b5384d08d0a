"""What can be broken, on purpose and in one line: a broker frozen, a program killed at a point that it names.

Lesson 03 freezes a broker, lesson 04 kills a consumer. In lesson 07 a program names many points, by the moments that
its worker tells or by `at("here")`; what was asked for there happens once, and where it was is in its journal.
"""

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.broker.cluster import Cluster
from labsupport.broker.embedded import EmbeddedBroker
from labsupport.broker.process import Process
from labsupport.delivery.moments import Kind, Moment
from labsupport.errors import FaultError, LabError
from labsupport.experiments.breaking import python_process
from labsupport.experiments.watching import moment_file
from labsupport.waiting import until

KILLED = 137  # the exit code of a process that was killed (128 + 9), as a shell reports it
JOURNAL, WOKEN = "journal", "woken"


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
class Fault:
    """Something that happens when a program is at `point` the `nth` time, and the next `times` - 1 times. Then no more.

    The times are counted over all lives of the program that share a folder. `kind` is what the journal calls it.
    """

    point: str
    kind: Kind
    does: Callable[["At"], object]
    nth: int = 1
    times: int = 1

    def __post_init__(self) -> None:
        for name in ("nth", "times"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise LabError(f"{name} is {value!r}.", "it counts from 1", "give a whole number from 1")

    def strikes(self, point: str, time: int) -> bool:
        """Whether it happens at this point, this time."""
        return point == self.point and self.nth <= time < self.nth + self.times


def crash(point: str, nth: int = 1) -> Fault:
    """The process dies there, as by kill -9: nothing is closed, committed or tidied up."""
    return Fault(point, Kind.CRASHED, _crash, nth)


def fail(point: str, times: int = 1, nth: int = 1) -> Fault:
    """A FaultError is raised there, `times` times."""
    return Fault(point, Kind.FAILED_ON_PURPOSE, _fail, nth, times)


def slow(point: str, seconds: float, times: int = 1, nth: int = 1) -> Fault:
    """It takes so many seconds longer there, `times` times."""
    return Fault(point, Kind.SLOWED, partial(_slow, seconds=seconds), nth, times)


def freeze(point: str, nth: int = 1) -> Fault:
    """The process is frozen there (SIGSTOP), until somebody wakes it: `wake` does."""
    return Fault(point, Kind.FROZEN, _freeze, nth)


def throw_out(point: str, nth: int = 1) -> Fault:
    """All members of the program's group are removed from it there, as the broker does with one that is too slow.

    The program says which group that is: `at.group = group`.
    """
    return Fault(point, Kind.THROWN_OUT, _throw_out, nth)


def _crash(_: "At") -> None:
    os._exit(KILLED)  # no `finally`, no closing of clients, no exit handlers


def _fail(_: "At") -> None:
    raise FaultError("on purpose")


def _slow(_: "At", seconds: float) -> None:
    time.sleep(seconds)


def _freeze(at: "At") -> None:
    at.woken.unlink(missing_ok=True)
    psutil.Process().suspend()
    # Other threads may get the signal first, and this one a few steps ahead: it waits to be woken on purpose.
    until(at.woken.exists, 60, "somebody to wake this process", every=0.01)
    at(Kind.WOKEN)


def wake(folder: Path, process: Process) -> None:
    """Let the process go on that was frozen, by a fault or from outside; `folder` is where its journal is."""
    (folder / WOKEN).touch()
    process.resume()


def _throw_out(at: "At") -> None:
    at.kafka.evict(at.group)


class At:
    """The points of a program: `at("handled")` says where it is, and does what was asked for there.

    As a worker's hook it takes its moments as points: `Worker(…, hooks=[at.hook])`. Everything is written to the
    journal in `folder` before a fault strikes; a program that is started again with the same folder counts on.
    """

    def __init__(self, kafka: Cluster, faults: Sequence[Fault], folder: Path, who: str):
        self.kafka, self.faults, self.who = kafka, tuple(faults), who
        self.group = ""
        self.woken = folder / WOKEN
        self.passed = Counter(moment.point for moment in moment_file.read(folder / JOURNAL))
        self._append = moment_file.appending(folder / JOURNAL)

    def __call__(self, point: str, record: ConsumerRecord | None = None, offset: int | None = None) -> None:
        """The program is at this point, a `Kind` or a name of its own; `record` is in hand, `offset` is committed."""
        kind = Kind(point) if point in set(Kind) else Kind.POINT
        name = point if kind is Kind.POINT else ""
        if record is None:
            self.hook(Moment(kind, time.monotonic(), self.who, offset=offset, name=name))
        else:
            self.hook(Moment.of(kind, self.who, record, name=name))

    def statement(self, words: str, record: ConsumerRecord) -> None:
        """The program is just before an SQL statement, which a fault calls by these words."""
        self.hook(Moment.of(Kind.STATEMENT, self.who, record, name=words))

    def hook(self, moment: Moment) -> None:
        """The program is at the point that this moment is called by."""
        moment = replace(moment, client_id=self.who)
        self._append(moment)
        self.passed[moment.point] += 1
        for fault in self.faults:
            if fault.strikes(moment.point, self.passed[moment.point]):
                self._append(replace(moment, kind=fault.kind, name=""))
                fault.does(self)


@dataclass(frozen=True)
class Run:
    """How a program of its own process went: the lines it printed, and the point at which it was killed, if it was.

    `moments` is where it was, in its order.
    """

    lines: tuple[str, ...]
    killed_at: str = ""
    moments: tuple[Moment, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        end = f"killed at {self.killed_at!r}" if self.killed_at else "ended"
        return "\n".join((*self.lines, end))


def run(kafka: Cluster, service: Callable, *arguments: Any, kill_at: str = "", nth: int = 1) -> Run:
    """Run `service(kafka, at, *arguments)` in a process of its own; kill it when it calls `at(kill_at)` the nth time.

    `kafka` is there a handle of its own on the same cluster; `at("processed")` names a point of the service and does
    nothing else. To be killed means: at once, with nothing closed, committed or tidied up. Raises LabError if the
    service raises, if somebody else kills it, and if it ends without having been at that point so often.
    """
    faults = [crash(kill_at, nth)] if kill_at else []
    name = getattr(service, "__name__", "the program")
    with python_process.scratch() as folder:
        ended = python_process.run(
            serve, kafka.bootstrap, kafka.prefix, service, arguments, faults, folder, "A", name=name
        )
        moments = moment_file.read(folder / JOURNAL)
    if ended.code == KILLED:
        return Run(tuple(ended.printed.splitlines()), kill_at, moments)
    if ended.code < 0:
        seen = "not by what the cell asked for: by itself, by somebody else, or for want of memory"
        raise LabError(f"{name} was killed (signal {-ended.code}).", seen, "run the cell again")
    if ended.code:
        raise LabError(f"{name} raised.", ended.printed[-1500:], "mend it, and run the cell again")
    if kill_at:
        passed = Counter(moment.point for moment in moments)
        seen = ", ".join(f"{point!r} {times} times" for point, times in passed.items()) or "no point at all"
        raise LabError(
            f"{name} was to be killed at {kill_at!r}, time {nth}, and ended before.",
            f"it was at {seen}",
            "is the name misspelt, or the number too high?",
        )
    return Run(tuple(ended.printed.splitlines()), "", moments)


def serve(
    bootstrap: str, prefix: str, service: Callable, arguments: tuple, faults: Sequence[Fault], folder: Path, who: str
) -> None:
    """In the process of its own: call the service, which suffers the faults."""
    with Cluster(bootstrap, prefix=prefix) as kafka:
        service(kafka, At(kafka, faults, folder, who), *arguments)
