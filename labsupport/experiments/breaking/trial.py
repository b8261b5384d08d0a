"""One trial: a strategy consumes a topic to its end, in processes that die where they are told to, and start again.

The strategy's code names no points: its consumer, its database and its handler are the real ones, and tell where they
are. So any code can be tried, a learner's too.
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
from labsupport.errors import LabError
from labsupport.experiments.breaking import python_process
from labsupport.experiments.breaking.faults import JOURNAL, At, Fault, serve, wake
from labsupport.experiments.breaking.python_process import Ended, Running
from labsupport.experiments.breaking.strategies import Strategy
from labsupport.experiments.watching import moment_file
from labsupport.shop.event import Event
from labsupport.waiting import until

MOST_LIVES = 6
DATABASE = "shop.db"
# Statements that only look; the first of a handler's others is the point `writing`.
READS = ("SELECT", "WITH", "PRAGMA", "EXPLAIN")
CHANGES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


@dataclass(frozen=True)
class Run:
    """One process of a trial, from its start to its end. `who` is its number, from "1"."""

    who: str
    ended: Ended


@dataclass(frozen=True)
class Played:
    """A trial that has been played: its processes and where they were; `problem` is why none of them got to the end.

    `late` says that one was given up because it took too long: what it had done until then proves nothing.
    """

    runs: tuple[Run, ...]
    moments: tuple[Moment, ...]
    problem: str = ""
    late: bool = False

    @property
    def redelivered(self) -> int:
        """How often a record was handed to a handler once more."""
        handed = Counter((moment.partitions, moment.offset) for moment in self.moments if moment.kind is Kind.HANDLING)
        return sum(times - 1 for times in handed.values())

    def passed(self, point: str) -> int:
        """How often the processes were at that point."""
        return sum(moment.point == point for moment in self.moments)


Start = Callable[..., AbstractContextManager[Running]]


def play(
    kafka: Cluster,
    topic: str,
    group: str,
    strategy: Strategy,
    folder: Path,
    faults: Sequence[Fault] = (),
    *,
    start: Start = python_process.started,
    seconds: float = 30.0,
) -> Played:
    """Consume the topic to its end, in one process after the other until one gets there; the database is in `folder`.

    A frozen process is woken when another has come to the end in its place. `start` is `python_process.started`, or a
    nursery's. A process that takes more than `seconds`, or the last of MOST_LIVES that fail, ends it with a problem.
    """
    arguments = (topic, group, str(folder / DATABASE), strategy)
    lives: list[Run] = []

    def live(number: int) -> None:
        """One process; and those after it, if it is frozen or does not get to the end."""
        call = (serve, kafka.bootstrap, kafka.prefix, consume, arguments, list(faults), folder, str(number))
        with start(*call, name=f"{strategy.name} ({number})") as running:
            process = running.process
            until(lambda: process.paused or not process.alive, seconds, f"{process.name} to end", every=0.004)
            if frozen := process.paused:
                live(number + 1)
                wake(folder, process)
            ended = running.ended(seconds)
            lives.append(Run(str(number), ended))
        if ended.code and not frozen and number < MOST_LIVES:
            live(number + 1)

    problem, late = "", False
    try:
        live(1)
        if all(life.ended.code for life in lives):
            last = lives[-1].ended
            said = last.printed.strip().rpartition("\n")[2] or "without a word"
            problem = (
                f"{counted(len(lives), 'process', 'processes')} failed, the last with exit code {last.code}: {said}"
            )
    except LabError as error:
        problem, late = str(error), True
    return Played(tuple(lives), moment_file.read(folder / JOURNAL), problem, late)


def consume(kafka: Cluster, at: At, topic: str, group: str, database: str, strategy: Strategy) -> None:
    """In the process: the strategy consumes, with a consumer and a database that tell where they are."""
    # A static member gets its partitions at once when it comes again, and takes them from a frozen one.
    settings = {"group_id": group, "group_instance_id": "A", "auto_offset_reset": "earliest"}
    settings |= {"enable_auto_commit": False, "max_poll_records": 1} | strategy.settings
    consumer = kafka.consumer(topic, name="A", **settings)
    at.group = group
    consumer.subscribe = functools.partial(_subscribe, consumer.subscribe, at)
    consumer.commit = _telling(consumer, at)
    consumer.subscribe([topic])
    with closing(orders.database(database)) as connection:
        strategy.consume(consumer, _handling(strategy, connection, at))


def _handling(strategy: Strategy, database: sqlite3.Connection, at: At) -> Callable[[ConsumerRecord], object]:
    """The strategy's handler, for a record; it and each of its statements are told."""

    def handle(record: ConsumerRecord) -> None:
        at(Kind.HANDLING, record)
        writes = Counter[str]()

        def executing(statement: str) -> None:
            verb, words = in_short(statement)
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


def in_short(statement: str) -> tuple[str, str]:
    """A statement's verb, and it in two words: verb and table, such as INSERT effects."""
    words = re.findall(r"\w+", statement)
    verb = words[0].upper() if words else ""
    table = re.search(r"\b(?:INTO|FROM|UPDATE)\s+\W?(\w+)", statement, re.IGNORECASE)
    return verb, f"{verb} {table[1]}" if table else verb


def _telling(consumer: KafkaConsumer, at: At) -> Callable[..., Any]:
    """The consumer's own `commit`, which tells what it commits and what came of it."""
    commit = consumer.commit

    @functools.wraps(commit)
    def telling(offsets: Any = None, *rest: Any, **named: Any) -> Any:
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

    return telling


def _offset(consumer: KafkaConsumer, offsets: Any) -> int | None:
    """What is committed in the one partition of a trial; without offsets it is the position."""
    with_offsets = offsets or dict.fromkeys(consumer.assignment())
    for place, committed in with_offsets.items():
        return consumer.position(place, timeout_ms=5_000) if committed is None else committed.offset
    return None


def _subscribe(subscribe: Callable[..., Any], at: At, *what: Any, listener: Any = None, **named: Any) -> None:
    """The consumer's own `subscribe`; whatever listener it is given hears of rebalances after they are told."""
    subscribe(*what, listener=_Told(at, listener), **named)


class _Told(ConsumerRebalanceListener):
    """What a rebalance does, as points; then it is passed on."""

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
