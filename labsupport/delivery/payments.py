"""A service for a terminal. It processes each event once, however often it is killed. Lesson 12, the end of Part I.

    .venv/bin/python -m labsupport.delivery.payments ADDRESS 12-orders --group 12-payments --database work/shop.db

`python3 lab.py status` shows ADDRESS. If it is a secured Kafka's, LAB_KAFKA_CONFIG names the file that says how to
connect. After Ctrl-C or SIGTERM the service finishes the event in hand. Your functions can replace its own: `--handle
work/handler.py:handle` is that of exercise 08-2, and `--dead-letters --bury work/publisher.py:bury` that of 09-3. With
`--outbox 12-payments` it writes a payment for each order into the outbox, in the transaction of the order's effect;
`labsupport.delivery.outbox` sends it (lesson 17).
"""

import argparse
import contextlib
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from uuid import UUID, uuid5

from kafka import KafkaConsumer, KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import FencedInstanceIdError, KafkaError

from labsupport.delivery import dead_letter, inbox, orders, outbox
from labsupport.delivery.error_handler import ErrorHandler
from labsupport.delivery.moments import ASSIGNMENTS, TROUBLE, Kind, Moment
from labsupport.delivery.worker import Worker
from labsupport.errors import EventError, LabError
from labsupport.interrupts import interrupts_call
from labsupport.kafka_fixes import ask_for_topics
from labsupport.learner_file import function_of
from labsupport.settings import Settings
from labsupport.shop.event import Event
from labsupport.transactions import READ_COMMITTED

Handle = Callable[[Event, sqlite3.Connection], object]
Bury = Callable[[KafkaConsumer, KafkaProducer, ConsumerRecord, Exception], object]


def process(event: Event, database: sqlite3.Connection) -> None:
    """Write an event's effect and its id in one transaction: a redelivered event has no second effect."""
    inbox.once(database, event.event_id, lambda: orders.effect(database, event))


def paying(topic: str) -> Handle:
    """As `process`, and write a payment for each order into the outbox, for `topic`, in the same transaction."""

    def process(event: Event, database: sqlite3.Connection) -> None:
        def effect() -> None:
            orders.effect(database, event)
            if event.event_type == "OrderCreated":
                outbox.add(database, topic, payment_of(event))

        inbox.once(database, event.event_id, effect)

    return process


def payment_of(order: Event) -> Event:
    """The event that this order was paid. Its id follows from the order's: one order, one payment."""
    event_id = str(uuid5(UUID(order.event_id), "paid"))
    payload = {name: order.payload[name] for name in ("order_id", "amount")}
    return Event("PaymentProcessed", 1, event_id, datetime.now(UTC), payload)


def serve(
    consumer: KafkaConsumer,
    database: sqlite3.Connection,
    handle: Handle = process,
    error_handler: ErrorHandler | None = None,
) -> None:
    """Process events until SIGTERM or Ctrl-C, and finish and commit the event in hand.

    A killed service gets its event delivered again. At a record that is no event it raises EventError, and nothing
    after it in its partition is processed; with an `error_handler` the record becomes a dead letter.
    """
    worker = Worker(
        consumer,
        lambda event: handle(event, database),
        decode=lambda record: Event.decode(record.value),
        hooks=[_print],
        error_handler=error_handler,
    )
    with interrupts_call(worker.stop):
        worker.run()


def connect(address: str, topic: str, group: str, name: str) -> KafkaConsumer:
    """The service's consumer. `name` makes it a static member, which gets its partitions back at once."""
    consumer = KafkaConsumer(
        **Settings.from_environment().connection_to(address).kafka_python(),
        bootstrap_timeout_ms=5_000,
        client_id=name,
        group_id=group,
        group_instance_id=name,
        auto_offset_reset="earliest",
        enable_auto_commit=False,  # the worker commits what is processed
        isolation_level=READ_COMMITTED,
        session_timeout_ms=6_000,
        heartbeat_interval_ms=1_000,
    )
    if not consumer.partitions_for_topic(topic):
        consumer.close()
        raise LabError(f"There is no topic {topic!r} at {address}.", "", "is its name right, and was it created?")
    consumer.subscribe([topic])
    ask_for_topics(consumer)
    return consumer


class OwnDeadLetters(ErrorHandler):
    """An error handler whose dead letters a function publishes: `function(consumer, producer, record, error)`.

    The function may commit the record too: all earlier ones in its partition are processed by then.
    """

    def __init__(self, consumer: KafkaConsumer, producer: KafkaProducer, function: Bury):
        super().__init__(producer)
        self.consumer, self.function = consumer, function

    def send_to_dead_letter(self, record: ConsumerRecord, error: Exception, *_: object) -> None:
        """Call the function. Its errors come out, and the record stays uncommitted."""
        self.function(self.consumer, self.producer, record, error)


def error_handler_of(address: str, topic: str, consumer: KafkaConsumer, bury: Bury | None = None) -> ErrorHandler:
    """The error handler; the caller closes its producer. Raises LabError if there is no dead letter topic."""
    letters = dead_letter.topic_of(topic)
    if not consumer.partitions_for_topic(letters):
        raise LabError(f"There is no topic {letters!r} for dead letters.", "", "create it: lab.dead_letters(topic)")
    settings = dead_letter.producer_settings() | {"client_id": f"{consumer.config['client_id']}-dead-letters"}
    connection = Settings.from_environment().connection_to(address)
    producer = KafkaProducer(**connection.kafka_python(), bootstrap_timeout_ms=5_000, **settings)
    return OwnDeadLetters(consumer, producer, bury) if bury else ErrorHandler(producer)


def main(words: list[str] | None = None) -> int:
    """Run the service; returns the exit code: 0 after a request to end, 1 with a sentence after an error."""
    parser = argparse.ArgumentParser(
        prog="python -m labsupport.delivery.payments", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("address", help="Kafka's address, as host:port")
    parser.add_argument("topic")
    parser.add_argument("--group", required=True)
    parser.add_argument("--database", required=True, help="the file for the effects")
    parser.add_argument("--handle", help="your function, called with event and database: work/handler.py:handle")
    parser.add_argument("--dead-letters", action="store_true", help="send what cannot be processed to TOPIC-dlt")
    parser.add_argument("--bury", help="your function for that: work/publisher.py:bury")
    parser.add_argument("--outbox", metavar="TOPIC", help="write a payment for each order, for this topic")
    parser.add_argument("--name", default="A", help="this member's name, its own in the group (default: A)")
    given = parser.parse_args(words)
    try:
        if given.handle and given.outbox:
            parser.error("give either --handle or --outbox: your function writes into the outbox itself")
        handle = function_of(given.handle) if given.handle else paying(given.outbox) if given.outbox else process
        bury = function_of(given.bury) if given.bury else None
        with closing(orders.database(given.database)) as database, contextlib.ExitStack() as stack:
            outbox.create(database)
            consumer = connect(given.address, given.topic, given.group, given.name)
            stack.callback(consumer.close, timeout_ms=5_000)
            error_handler = None
            if given.dead_letters or bury:
                error_handler = error_handler_of(given.address, given.topic, consumer, bury)
                stack.callback(error_handler.producer.close, timeout=5)
            print(f"{given.name} runs; kill -9 {os.getpid()} ends it at once.", flush=True)
            serve(consumer, database, handle, error_handler)
    except KeyboardInterrupt:  # before it has begun; later it is a request to end
        return 130
    except FencedInstanceIdError:
        return _failed(f"Another service of this group runs as {given.name}.", "give this one another --name")
    except EventError as error:
        return _failed(f"No event: {error}.", "it stays uncommitted, and later records in its partition wait")
    except (LabError, KafkaError, sqlite3.Error) as error:
        return _failed(str(error), "")
    print("Ended; all that was processed is committed.", flush=True)
    return 0


def _print(moment: Moment) -> None:
    if moment.kind in ASSIGNMENTS:
        partitions = ", ".join(str(each.partition) for each in moment.partitions) or "none"
        print(f"{moment.kind}: partitions {partitions}", flush=True)
    if moment.kind in TROUBLE:
        why = f": {moment.error}" if moment.error else ""
        why += f", for {moment.seconds:.0f} s now" if moment.kind is Kind.OVERDUE else ""
        print(f"{moment.kind}: partition {moment.partitions[0].partition}, offset {moment.offset}{why}", flush=True)


def _failed(what: str, next_step: str) -> int:
    print("\n  next: ".join(part for part in (what, next_step) if part), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
