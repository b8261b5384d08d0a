"""One trial: a strategy consumes a topic to its end in processes that crash where the faults say, and are restarted.

The strategy's code names no points. Its consumer, database and handler are real and report where they are, so any code
can be tried, also a learner's.
"""

import functools
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError, KafkaTimeoutError

from labsupport.broker.cluster import Cluster
from labsupport.console import counted
from labsupport.delivery import orders
from labsupport.delivery.moments import Kind, Moment
from labsupport.errors import LabError, UnpicklableError
from labsupport.experiments.breaking import python_process
from labsupport.experiments.breaking.faults import MOMENTS_FILE, At, Fault, run_service, wake
from labsupport.experiments.breaking.python_process import ChildProcess, CompletedProcess
from labsupport.experiments.breaking.strategies import Strategy
from labsupport.experiments.watching import moment_file
from labsupport.shop.event import Event
from labsupport.transactions import READ_COMMITTED
from labsupport.waiting import until

MAX_PROCESSES = 6  # of one trial
DATABASE = "shop.db"
# Statements that only read. The first other one of a handler is the point `writing`.
READS = ("SELECT", "WITH", "PRAGMA", "EXPLAIN")
CHANGES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


@dataclass(frozen=True)
class TrialRun:
    """A trial that was run: its processes and moments. `problem` says why no process reached the end of the topic.

    `timed_out`: a process took too long and was killed; what it had done by then proves nothing.
    """

    processes: tuple[CompletedProcess, ...]
    moments: tuple[Moment, ...]
    problem: str = ""
    timed_out: bool = False

    @property
    def redelivered(self) -> int:
        """How often a record was handled again."""
        handed = Counter((moment.partitions, moment.offset) for moment in self.moments if moment.kind is Kind.HANDLING)
        return sum(times - 1 for times in handed.values())

    def passed(self, point: str) -> int:
        """How often the processes passed that point."""
        return sum(moment.point == point for moment in self.moments)


Start = Callable[..., AbstractContextManager[ChildProcess]]


def run_trial(
    kafka: Cluster,
    topic: str,
    group: str,
    strategy: Strategy,
    folder: Path,
    faults: Sequence[Fault] = (),
    *,
    start: Start = python_process.start,
    seconds: float = 30.0,
) -> TrialRun:
    """Consume the topic to its end; the database is in `folder`. The rest is as in `run_processes`."""
    arguments = (topic, group, str(folder / DATABASE), strategy)
    return run_processes(kafka, consume, arguments, strategy.name, folder, faults, start=start, seconds=seconds)


def run_processes(
    kafka: Cluster,
    service: Callable[..., object],
    arguments: tuple,
    name: str,
    folder: Path,
    faults: Sequence[Fault],
    *,
    start: Start,
    seconds: float,
) -> TrialRun:
    """Run `service(kafka, at, *arguments)` in one process after another until one gets to its end.

    A frozen process is woken when another one has reached the end in its place. `start` is `python_process.start` or a
    ForkServer's. The trial has a problem if a process takes more than `seconds`, or if all of MAX_PROCESSES fail.
    Raises UnpicklableError.
    """
    completed: list[CompletedProcess] = []

    def run_process(number: int) -> None:
        """Run one process, and the next ones if it is frozen or does not reach the end."""
        call = (run_service, kafka.connection, kafka.prefix, service, arguments, list(faults), folder, str(number))
        with start(*call, name=f"{name} ({number})") as child:
            process = child.process
            until(lambda: process.paused or not process.alive, seconds, f"{process.name} to end", every=0.01)
            if frozen := process.paused:
                run_process(number + 1)
                wake(folder, process)
            result = child.wait(seconds)
            completed.append(result)
        if result.exit_code and not frozen and number < MAX_PROCESSES:
            run_process(number + 1)

    problem, timed_out = "", False
    try:
        run_process(1)
        if all(each.exit_code for each in completed):
            last = completed[-1]
            last_line = last.printed.strip().rpartition("\n")[2] or "it printed nothing"
            processes = counted(len(completed), "process", "processes")
            problem = f"{processes} failed, the last with exit code {last.exit_code}: {last_line}"
    except UnpicklableError:
        raise
    except LabError as error:
        problem, timed_out = str(error), True
    return TrialRun(tuple(completed), moment_file.read(folder / MOMENTS_FILE), problem, timed_out)


def consume(kafka: Cluster, at: At, topic: str, group: str, database: str, strategy: Strategy) -> None:
    """In the child process: run the strategy with a consumer and a database that report where they are."""
    # A static member gets its partitions back at once after a restart, and takes over those of a frozen one.
    settings: dict[str, Any] = {"group_id": group, "group_instance_id": "A", "auto_offset_reset": "earliest"}
    settings |= {
        "enable_auto_commit": False,
        "isolation_level": READ_COMMITTED,
        "max_poll_records": 1,
        **strategy.settings,
    }
    consumer = kafka.consumer(topic, name="A", **settings)
    at.group = group
    consumer.subscribe = functools.partial(_subscribe, consumer.subscribe, at)
    consumer.commit = _reporting_commit(consumer, at)
    consumer.subscribe([topic])
    with closing(orders.database(database)) as connection:
        strategy.consume(consumer, _reporting_handler(strategy, connection, at))


def _reporting_handler(strategy: Strategy, database: sqlite3.Connection, at: At) -> Callable[[ConsumerRecord], object]:
    """The strategy's handler for a record; reports its start, its end and each SQL statement."""

    def handle(record: ConsumerRecord) -> None:
        at(Kind.HANDLING, record)
        writes = Counter[str]()

        def executing(statement: str) -> None:
            verb, words = summarized(statement)
            if verb not in READS:
                if not writes:
                    at(Kind.WRITING, record)
                writes["any"] += 1
            if verb in CHANGES:
                writes["changes"] += 1
                if writes["changes"] == 2:
                    at(Kind.SECOND_WRITE, record)
            at.statement(words, record)

        database.set_trace_callback(executing)
        try:
            strategy.handle(Event.decode(record.value), database)
        finally:
            database.set_trace_callback(None)
        at(Kind.HANDLED, record)

    return handle


def summarized(statement: str) -> tuple[str, str]:
    """A statement's verb, and its summary: verb and table, such as INSERT effects."""
    words = re.findall(r"\w+", statement)
    verb = words[0].upper() if words else ""
    table = re.search(r"\b(?:INTO|FROM|UPDATE)\s+\W?(\w+)", statement, re.IGNORECASE)
    return verb, f"{verb} {table[1]}" if table else verb


def _reporting_commit(consumer: KafkaConsumer, at: At) -> Callable[..., Any]:
    """The consumer's own `commit`, which reports the offset and the result."""
    commit = consumer.commit

    @functools.wraps(commit)
    def reporting(offsets: Any = None, *rest: Any, **named: Any) -> Any:
        at(Kind.COMMITTING, offset=_offset(consumer, offsets))
        try:
            committed = commit(offsets, *rest, **named)
        except KafkaTimeoutError:
            at(Kind.UNANSWERED)
            raise
        except KafkaError:
            at(Kind.REFUSED)
            raise
        at(Kind.COMMITTED, offset=_offset(consumer, offsets))
        return committed

    return reporting


def _offset(consumer: KafkaConsumer, offsets: Any) -> int | None:
    """The offset that is committed in the trial's one partition; without `offsets` it is the position."""
    with_offsets = offsets or dict.fromkeys(consumer.assignment())
    for partition, committed in with_offsets.items():
        return consumer.position(partition, timeout_ms=5_000) if committed is None else committed.offset
    return None


def _subscribe(subscribe: Callable[..., Any], at: At, *what: Any, listener: Any = None, **named: Any) -> None:
    """The consumer's own `subscribe`, which reports rebalances before it calls the listener."""
    subscribe(*what, listener=_ReportingListener(at, listener), **named)


class _ReportingListener(ConsumerRebalanceListener):
    """Reports each step of a rebalance as a point, then passes it on."""

    def __init__(self, at: At, listener: ConsumerRebalanceListener | None):
        self.at, self.listener = at, listener

    def on_partitions_assigned(self, assigned: set) -> None:
        self.at(Kind.ASSIGNED)
        if self.listener:
            self.listener.on_partitions_assigned(assigned)

    def on_partitions_revoked(self, revoked: set) -> None:
        if revoked:
            self.at(Kind.REVOKED)
        if self.listener:
            self.listener.on_partitions_revoked(revoked)

    def on_partitions_lost(self, lost: set) -> None:
        self.at(Kind.LOST)
        if self.listener:
            self.listener.on_partitions_lost(lost)
