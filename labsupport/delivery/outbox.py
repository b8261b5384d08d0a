"""The outbox: events that are written in the same transaction as the change that they tell of. Lesson 17.

A service that changes its database and then publishes can die in between: then the change has no event. So it writes
the event into a table of the same database, in the same transaction. A relay sends what lies there:

    .venv/bin/python -m labsupport.delivery.outbox ADDRESS work/shop.db

It sends one row after the other, in the order in which they were written, and marks a row only when Kafka has
acknowledged it. If it dies in between, the next one sends that row again, with the same event id: at least once. So who
reads the topic still needs the inbox of lesson 08. An error stops the relay at its row, because a later row that goes
first would break the order.

SQLite has one writer at a time, so the order of the rows is that of their transactions. A database with several writers
gives out numbers before it commits, and `where id > last` would pass over rows that appear later. Here each row has its
own mark.
"""

import argparse
import contextlib
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout
from kafka import KafkaProducer, errors
from kafka.errors import KafkaError

from labsupport.delivery.transient_errors import passes
from labsupport.errors import LabError
from labsupport.interrupts import interrupts_call
from labsupport.settings import Settings
from labsupport.shop import story
from labsupport.shop.event import Event

TABLE = """
CREATE TABLE IF NOT EXISTS outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, topic TEXT NOT NULL, key BLOB NOT NULL,
    value BLOB NOT NULL, event_type TEXT NOT NULL, sent INTEGER NOT NULL DEFAULT 0
)
"""
UNSENT = "CREATE INDEX IF NOT EXISTS outbox_unsent ON outbox (position) WHERE NOT sent"
# Acknowledged by all replicas in sync: what is marked must not get lost.
PRODUCER = {
    "acks": "all",
    "enable_idempotence": True,
    "delivery_timeout_ms": 10_000,
    "request_timeout_ms": 5_000,
    "max_block_ms": 5_000,
    "bootstrap_timeout_ms": 5_000,
}
# What Kafka, or the client, will never take as it is.
REFUSED = (
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.InvalidRecordError,
    errors.InvalidTopicError,
    errors.PolicyViolationError,
    errors.AuthorizationError,
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedVersionError,
    errors.KafkaConfigurationError,
)
ACKNOWLEDGED = 15.0  # seconds to wait for an acknowledgement: longer than the client tries
REST = 0.2  # seconds between two looks at an empty outbox
CALM = 2.0  # seconds to wait after an error that passes by itself


@dataclass(frozen=True)
class Row:
    """An event in the outbox; `position` is its place in the order."""

    position: int
    event_id: str
    topic: str
    key: bytes
    value: bytes
    event_type: str


def create(database: sqlite3.Connection) -> None:
    """Create the table, unless it is there."""
    with database:
        database.execute(TABLE)
        database.execute(UNSENT)


def add(database: sqlite3.Connection, topic: str, event: Event) -> None:
    """Write the event into the outbox, in the open transaction or a new one; the caller commits.

    Call it in the transaction of the change that the event tells of. Raises LabError if the connection commits each
    statement by itself, if the event is there already, or if there is no outbox.
    """
    if not database.in_transaction and _commits_by_itself(database):
        raise LabError(
            "The outbox needs the transaction of the change, and there is none.",
            "this connection commits each statement by itself, so a crash could leave change and event apart",
            "open a transaction first; or open the database without isolation_level=None and autocommit=True",
        )
    row = (event.event_id, topic, story.key_of(event), event.encode(), event.event_type)
    try:
        statement = "INSERT INTO outbox (event_id, topic, key, value, event_type) VALUES (?, ?, ?, ?, ?)"
        database.execute(statement, row)
    except sqlite3.IntegrityError as error:
        raise LabError(
            f"{event!r} is in the outbox already.",
            "the change that it tells of was made before",
            "ask in the same transaction whether the change was made; inbox.once does",
        ) from error
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        raise LabError("This database has no outbox.", str(error), "create it: outbox.create(database)") from error


def unsent(database: sqlite3.Connection) -> int:
    """How many events wait to be sent."""
    ((count,),) = database.execute("SELECT count(*) FROM outbox WHERE NOT sent")
    return count


def relay(database: sqlite3.Connection, producer: KafkaProducer, at: Callable[[str], object] = lambda _: None) -> int:
    """Send what waits, in order, until nothing waits; returns how many were sent.

    Returns 0 at once if another relay of this database is at work. `at` is called at "sending" and "sent" with nothing
    marked, and at "marked". Raises LabError at the first event that is not acknowledged, with the client's error as its
    cause; all before it are marked. Whether that one is stored is not known: it is sent again, by another producer,
    because kafka-python 3.0.12's refuses all that follows a record that was too large.
    """
    _require_bytes_and_acknowledgements(producer)
    count = 0
    with _alone(database) as alone:
        while alone and (row := _next(database)):
            at("sending")
            _send(producer, row)
            at("sent")
            with database:
                database.execute("UPDATE outbox SET sent = 1 WHERE position = ?", (row.position,))
            at("marked")
            count += 1
    return count


@contextlib.contextmanager
def _alone(database: sqlite3.Connection) -> Iterator[bool]:
    """Hold the lock of this database's relay; False if another one holds it.

    It is a lock on a file beside the database. The system releases it when its process dies, however that dies. A claim
    with a time-out in the table would let a frozen relay wake up and send after its successor; and an open transaction
    would keep the service from writing while Kafka is slow.
    """
    file = next(file for _, name, file in database.execute("PRAGMA database_list") if name == "main")
    if not file:  # a database in memory has no other user
        yield True
        return
    lock = FileLock(f"{file}.relay", mode=0o666)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _next(database: sqlite3.Connection) -> Row | None:
    columns = "position, event_id, topic, key, value, event_type"
    try:
        found = database.execute(f"SELECT {columns} FROM outbox WHERE NOT sent ORDER BY position LIMIT 1").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        raise LabError("This database has no outbox.", str(error), "create it: outbox.create(database)") from error
    return Row(*found) if found else None


def _send(producer: KafkaProducer, row: Row) -> None:
    headers = [("event_type", row.event_type.encode()), ("event_id", row.event_id.encode())]
    try:
        producer.send(row.topic, row.value, row.key, headers).get(timeout=ACKNOWLEDGED)
    except (KafkaError, AssertionError, TypeError, ValueError) as error:  # the client checks by assertions
        raise LabError(
            f"The relay stopped at row {row.position}: event {row.event_id}, for {row.topic}.",
            f"{type(error).__name__}: {error}; it is not marked, and nothing behind it was sent",
            "the relay sends it again when it is started; if Kafka will never take it, set it aside: "
            f"UPDATE outbox SET sent = -1 WHERE position = {row.position}",
        ) from error


def _require_bytes_and_acknowledgements(producer: KafkaProducer) -> None:
    if producer.config["acks"] not in (-1, "all"):
        raise LabError(
            "A relay marks what Kafka has stored for certain.",
            f"this producer has acks={producer.config['acks']}",
            'make it with acks="all", or with outbox.PRODUCER',
        )
    if producer.config["key_serializer"] or producer.config["value_serializer"]:
        raise LabError("A relay sends bytes as they are.", "this producer has a serializer", "make it without")


def _commits_by_itself(database: sqlite3.Connection) -> bool:
    return database.isolation_level is None or getattr(database, "autocommit", False) is True  # the latter from 3.12 on


# The relay as a program


def serve(database: sqlite3.Connection, connect: Callable[[], KafkaProducer], ended: threading.Event) -> None:
    """Relay until `ended` is set. Errors that pass by themselves are printed, and it goes on; others come out.

    `connect` makes the producer, and another one after each error: with the old one, a record without an answer could
    still be on its way.
    """
    while not ended.is_set():
        try:
            with _closing(connect()) as producer:
                while not ended.is_set():
                    if count := relay(database, producer):
                        print(f"sent {count}", flush=True)
                    ended.wait(REST)
        except (LabError, KafkaError, sqlite3.Error) as error:
            if not _passes(error.__cause__ or error):
                raise
            print(error, flush=True)
            ended.wait(CALM)


@contextlib.contextmanager
def _closing(producer: KafkaProducer) -> Iterator[KafkaProducer]:
    try:
        yield producer
    finally:
        with contextlib.suppress(KafkaError):  # of a broker that does not answer
            producer.close(timeout=1)


def _passes(error: BaseException) -> bool:
    """Whether another attempt may succeed. The client wraps time-outs in errors that it calls not retriable."""
    return not isinstance(error, REFUSED) if isinstance(error, KafkaError) else passes(error)


def _opened(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise LabError(f"There is no database {path}.", "", "has the service that writes it run?")
    return sqlite3.connect(path, timeout=5.0)


def main(words: list[str] | None = None) -> int:
    """Run the relay; returns the exit code: 0 after a request to end, 1 with a sentence after an error."""
    parser = argparse.ArgumentParser(
        prog="python -m labsupport.delivery.outbox", description="Send what lies in a database's outbox to Kafka."
    )
    parser.add_argument("address", help="Kafka's address, as host:port")
    parser.add_argument("database", type=Path, help="the service's database, a file")
    given, ended = parser.parse_args(words), threading.Event()
    try:
        with interrupts_call(ended.set), closing(_opened(given.database)) as database:
            print(f"The relay runs; kill -9 {os.getpid()} ends it at once.", flush=True)
            connection = Settings.from_environment().connection_to(given.address)
            connect = partial(KafkaProducer, **connection.kafka_python(), **PRODUCER)
            serve(database, connect, ended)
    except (LabError, KafkaError, sqlite3.Error) as error:
        print(error, file=sys.stderr)
        return 1
    print("Ended; what was acknowledged is marked.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
