"""Fault injection: freeze or stop a broker; kill, fail, slow or freeze a program at a point that it names.

Lesson 03 freezes a broker, lesson 04 kills a consumer. From lesson 07 on a program has many points: its worker's
moments and each `at("here")`. A fault strikes at a point, and a file keeps the moments for the next process.
"""

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from kafka import KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from labsupport.broker.cluster import Cluster
from labsupport.broker.embedded import EmbeddedBroker
from labsupport.broker.process import Process
from labsupport.connection import Connection
from labsupport.delivery.moments import Kind, Moment
from labsupport.errors import FaultError, LabError
from labsupport.experiments.breaking import forkserver, python_process
from labsupport.experiments.watching import moment_file
from labsupport.waiting import until

KILLED = 137  # the exit code of a process that was killed (128 + 9), as a shell reports it
MOMENTS_FILE, WOKEN = "moments", "woken"


def paused(broker: EmbeddedBroker) -> AbstractContextManager[None]:
    """Freeze the broker for the body of a `with`; afterwards it answers again, whatever happened inside."""
    return _unavailable(broker, broker.pause)


def stopped(broker: EmbeddedBroker) -> AbstractContextManager[None]:
    """Stop the broker for the body of a `with`; afterwards it answers again, whatever happened inside."""
    return _unavailable(broker, broker.stop)


@contextlib.contextmanager
def _unavailable(broker: EmbeddedBroker, take_down: Callable[[], None]) -> Iterator[None]:
    take_down()
    try:
        yield
    finally:
        broker.start()


def connected(kafka: Cluster, topic: str, *, name: str, **settings: Any) -> KafkaProducer:
    """Make a producer that is connected to the broker and knows `topic`, so that a fault meets its next send alone.

    It has sent one record, to the topic `<topic>-hello`. With `settings` whose timeouts a busy machine exceeds, it is
    made again, for up to 60 s. The request timeout of the settings is that of this connection: on the next one, a
    request waits for a minute, so that what is sent again is sent once again, however slow the machine.
    """
    hello = kafka.create_topic(f"{topic}-hello")
    made: list[KafkaProducer] = []

    def answered() -> bool:
        producer = kafka.producer(name=name, **settings)
        with contextlib.suppress(KafkaError):
            producer.partitions_for(topic)
            producer.send(hello, b"hello").get(timeout=60)
            made.append(producer)
        return bool(made)

    until(answered, 60, f"the broker to acknowledge the first record of {name}")
    made[0]._sender._client._manager.config["request_timeout_ms"] = 60_000  # an open connection has its own
    return made[0]


def until_retried(producer: KafkaProducer) -> None:
    """Wait until the producer, which gets no answer, has sent a record again."""
    until(lambda: producer.metrics()["producer-metrics"]["record-retry-rate"] > 0, 60, "the second attempt")


@dataclass(frozen=True)
class Fault:
    """An action at `point`, from the `nth` time that a program passes it, `times` times in a row.

    All processes that share a folder count together. `kind` is how the fault is recorded among the moments. Raises
    LabError unless `nth` and `times` are whole numbers from 1.
    """

    point: str
    kind: Kind
    action: Callable[["At"], object]
    nth: int = 1
    times: int = 1

    def __post_init__(self) -> None:
        for name in ("nth", "times"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise LabError(f"{name} is {value!r}.", "it counts from 1", "give a whole number from 1")

    def strikes(self, point: str, time: int) -> bool:
        """Whether the fault happens at this point, this time (counted from 1)."""
        return point == self.point and self.nth <= time < self.nth + self.times


def crash(point: str, nth: int = 1) -> Fault:
    """The process dies there as with `kill -9`: it closes, commits and cleans up nothing."""
    return Fault(point, Kind.CRASHED, _crash, nth)


def fail(point: str, times: int = 1, nth: int = 1) -> Fault:
    """The point raises FaultError, `times` times."""
    return Fault(point, Kind.FAILED_ON_PURPOSE, _fail, nth, times)


def slow(point: str, seconds: float, times: int = 1, nth: int = 1) -> Fault:
    """The point takes `seconds` longer, `times` times."""
    return Fault(point, Kind.SLOWED, partial(_slow, seconds=seconds), nth, times)


def freeze(point: str, nth: int = 1) -> Fault:
    """The process freezes there (SIGSTOP) until `wake`."""
    return Fault(point, Kind.FROZEN, _freeze, nth)


def throw_out(point: str, nth: int = 1) -> Fault:
    """All members of the program's group are removed from it, as the broker removes one that is too slow.

    The program names its group with `at.group = group`.
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
    # Another thread may receive the signal first while this one runs on, so it waits here until `wake`.
    until(at.woken.exists, 60, "wake() to wake this process", every=0.01)
    at(Kind.WOKEN)


def wake(folder: Path, process: Process) -> None:
    """Let a frozen process continue, whether a fault or a signal froze it; `folder` holds its moments."""
    (folder / WOKEN).touch()
    process.resume()


def _throw_out(at: "At") -> None:
    at.kafka.evict(at.group)


class At:
    """The points of a program: `at("handled")` records that it is there, and lets the faults for that point strike.

    As a hook it makes a worker's moments points: `Worker(…, hooks=[at.hook])`. A moment is written to the file in
    `folder` before a fault strikes; a process that is started again with the same folder continues to count.
    """

    def __init__(self, kafka: Cluster, faults: Sequence[Fault], folder: Path, who: str):
        self.kafka, self.faults, self.who = kafka, tuple(faults), who
        self.group = ""
        self.woken = folder / WOKEN
        self.passed = Counter(moment.point for moment in moment_file.read(folder / MOMENTS_FILE))
        self._append = moment_file.writer(folder / MOMENTS_FILE)

    def __call__(self, point: str, record: ConsumerRecord | None = None, offset: int | None = None) -> None:
        """Pass a point: a `Kind` or any name. `record` is the one in hand, `offset` what is committed."""
        kind = Kind(point) if point in set(Kind) else Kind.POINT
        name = point if kind is Kind.POINT else ""
        if record is None:
            self.hook(Moment(kind, time.monotonic(), self.who, offset=offset, name=name))
        else:
            self.hook(Moment.of(kind, self.who, record, name=name))

    def statement(self, words: str, record: ConsumerRecord) -> None:
        """Pass the point just before an SQL statement; its name is `words`."""
        self.hook(Moment.of(Kind.STATEMENT, self.who, record, name=words))

    def hook(self, moment: Moment) -> None:
        """Pass the point of this moment."""
        moment = replace(moment, client_id=self.who)
        self._append(moment)
        self.passed[moment.point] += 1
        for fault in self.faults:
            if fault.strikes(moment.point, self.passed[moment.point]):
                self._append(replace(moment, kind=fault.kind, name=""))
                fault.action(self)


@dataclass(frozen=True)
class Run:
    """A service that was run: the lines it printed, the point where it was killed ("" if it was not), its moments."""

    lines: tuple[str, ...]
    killed_at: str = ""
    moments: tuple[Moment, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        end = f"killed at {self.killed_at!r}" if self.killed_at else "ended"
        return "\n".join((*self.lines, end))


def run(kafka: Cluster, service: Callable, *arguments: Any, kill_at: str = "", nth: int = 1) -> Run:
    """Run `service(kafka, at, *arguments)` in its own process; kill it when it calls `at(kill_at)` the nth time.

    There `kafka` is a new Cluster on the same brokers. `at("processed")` names a point and does nothing else. The kill
    comes at once: nothing is closed, committed or cleaned up. Raises LabError if the service raises, if anything else
    kills it, or if it ends before the nth time at that point.
    """
    faults = [crash(kill_at, nth)] if kill_at else []
    name = getattr(service, "__name__", "the program")
    with python_process.scratch_folder() as folder:
        completed = forkserver.shared().run(
            run_service, kafka.connection, kafka.prefix, service, arguments, faults, folder, "A", name=name
        )
        moments = moment_file.read(folder / MOMENTS_FILE)
    if completed.exit_code == KILLED:
        return Run(tuple(completed.printed.splitlines()), kill_at, moments)
    if completed.exit_code < 0:
        seen = "not by the fault of the cell: by itself, by another program, or because memory ran out"
        raise LabError(f"{name} was killed (signal {-completed.exit_code}).", seen, "run the cell again")
    if completed.exit_code:
        raise LabError(f"{name} raised.", completed.printed[-1500:], "fix it, and run the cell again")
    if kill_at:
        passed = Counter(moment.point for moment in moments)
        seen = ", ".join(f"{point!r} {times} times" for point, times in passed.items()) or "no point at all"
        raise LabError(
            f"{name} was to be killed at {kill_at!r}, time {nth}, but ended before.",
            f"it passed {seen}",
            "is the name misspelt, or the number too high?",
        )
    return Run(tuple(completed.printed.splitlines()), "", moments)


def run_service(
    connection: Connection,
    prefix: str,
    service: Callable,
    arguments: tuple,
    faults: Sequence[Fault],
    folder: Path,
    who: str,
) -> None:
    """In the child process: call the service with these faults."""
    with Cluster(connection, prefix=prefix) as kafka:
        service(kafka, At(kafka, faults, folder, who), *arguments)
