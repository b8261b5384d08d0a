"""Consumer strategies to compare: when a loop commits, and what a handler remembers. Lessons 07 and 08.

A strategy is a loop, `consume(consumer, handle)`, and a handler, `handle(event, database)`. The loop knows nothing of
the database, and the handler nothing of Kafka.
"""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.delivery import inbox, orders
from labsupport.delivery.reading import after, at_the_end, require_no_auto_commit, to_the_end
from labsupport.delivery.worker import Worker
from labsupport.shop.event import Event

Handle = Callable[[ConsumerRecord], object]


# Loops


def commit_the_batch_first(consumer: KafkaConsumer, handle: Handle) -> None:
    """Commit everything that a poll returned, then handle it."""
    require_no_auto_commit(consumer, "A strategy")
    ended = at_the_end(consumer)
    while not ended():
        batch = [record for records in consumer.poll(timeout_ms=200).values() for record in records]
        if batch:
            consumer.commit({partition: offset for record in batch for partition, offset in after(record).items()})
        for record in batch:
            handle(record)


def commit_first(consumer: KafkaConsumer, handle: Handle) -> None:
    """Commit each record, then handle it."""
    require_no_auto_commit(consumer, "A strategy")
    for record in to_the_end(consumer):
        consumer.commit(after(record))
        handle(record)


def process_then_commit(consumer: KafkaConsumer, handle: Handle) -> None:
    """Handle each record, then commit it."""
    require_no_auto_commit(consumer, "A strategy")
    for record in to_the_end(consumer):
        handle(record)
        consumer.commit(after(record))


def worker(consumer: KafkaConsumer, handle: Handle) -> None:
    """The lab's worker: handle what a poll returned, then commit it."""
    Worker(consumer, handle).run(until=at_the_end(consumer))


# Handlers


def effect(event: Event, database: sqlite3.Connection) -> None:
    """Apply the effect without a mark that remembers it."""
    with database:
        orders.effect(database, event)


def effect_then_mark(event: Event, database: sqlite3.Connection) -> None:
    """Unless the event is marked: effect in one transaction, then mark in another."""
    if not _marked(event, database):
        with database:
            orders.effect(database, event)
        with database:
            _mark(event, database)


def mark_then_effect(event: Event, database: sqlite3.Connection) -> None:
    """Unless the event is marked: mark in one transaction, then effect in another."""
    if not _marked(event, database):
        with database:
            _mark(event, database)
        with database:
            orders.effect(database, event)


def inbox_and_effect(event: Event, database: sqlite3.Connection) -> None:
    """Mark and effect in one transaction: the inbox."""
    inbox.once(database, event.event_id, lambda: orders.effect(database, event))


def _marked(event: Event, database: sqlite3.Connection) -> bool:
    return database.execute("SELECT 1 FROM inbox WHERE event_id = ?", (event.event_id,)).fetchone() is not None


def _mark(event: Event, database: sqlite3.Connection) -> None:
    database.execute("INSERT OR IGNORE INTO inbox VALUES (?, 0)", (event.event_id,))


@dataclass(frozen=True)
class Strategy:
    """A named pair of loop and handler. `settings` are the consumer's; by default a poll returns one record."""

    name: str
    consume: Callable[[KafkaConsumer, Handle], object] = worker
    handle: Callable[[Event, sqlite3.Connection], object] = effect
    settings: Mapping[str, Any] = field(default_factory=dict)


STRATEGIES = (
    Strategy("commit the batch first", commit_the_batch_first, settings={"max_poll_records": 3}),
    Strategy("commit each record first", commit_first),
    Strategy("process, then commit", process_then_commit),
    Strategy("effect, then mark", worker, effect_then_mark),
    Strategy("mark, then effect", worker, mark_then_effect),
    Strategy("inbox", worker, inbox_and_effect),
)
