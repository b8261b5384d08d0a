"""A service in a terminal: it processes each event once, whenever it is killed. The end of Part I, lesson 12.

    .venv/bin/python -m labsupport.delivery.payments ADDRESS 12-orders --group 12-payments --database work/shop.db

ADDRESS is the one that `python3 lab.py status` shows. Ctrl-C and SIGTERM let it finish the event in hand. Functions
of yours take the place of its own: `--handle work/handler.py:handle` is the one of exercise 08-2, and
`--dead-letters --bury work/publisher.py:bury` the one of 09-3.
"""

import argparse
import contextlib
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing

from kafka import KafkaConsumer, KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import FencedInstanceIdError, KafkaError

from labsupport.delivery import dead_letter, inbox, orders
from labsupport.delivery.error_handler import ErrorHandler
from labsupport.delivery.moments import ASSIGNMENTS, TROUBLE, Kind, Moment
from labsupport.delivery.worker import Worker
from labsupport.errors import EventError, LabError
from labsupport.kafka_fixes import ask_for_topics
from labsupport.learner_file import function_of
from labsupport.shop.event import Event

Handle = Callable[[Event, sqlite3.Connection], object]
Bury = Callable[[KafkaConsumer, KafkaProducer, ConsumerRecord, Exception], object]


def process(event: Event, database: sqlite3.Connection) -> None:
    """The effect of an event and its id, in one transaction: what comes twice has its effect once."""
    inbox.once(database, event.event_id, lambda: orders.effect(database, event))


def serve(
    consumer: KafkaConsumer,
    database: sqlite3.Connection,
    handle: Handle = process,
    recovery: ErrorHandler | None = None,
) -> None:
    """Process what comes, until SIGTERM or Ctrl-C: the event in hand is finished and committed.

    What is killed in the middle of an event has it handed out again. Without `recovery` it raises EventError at a
    record that is no event: nothing behind it in its partition is processed. With it that becomes a dead letter.
    """
    worker = Worker(
        consumer,
        lambda event: handle(event, database),
        decode=lambda record: Event.decode(record.value),
        hooks=[_say],
        error_handler=recovery,
    )
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: worker.stop())
    worker.run()


def connect(address: str, topic: str, group: str, name: str) -> KafkaConsumer:
    """The service's consumer. `name` makes it a static member: started again, it has its partitions at once."""
    consumer = KafkaConsumer(
        bootstrap_servers=address.split(","),
        bootstrap_timeout_ms=5_000,
        client_id=name,
        group_id=group,
        group_instance_id=name,
        auto_offset_reset="earliest",
        enable_auto_commit=False,  # the worker commits what is processed, and nothing else
        session_timeout_ms=6_000,
        heartbeat_interval_ms=1_000,
    )
    if not consumer.partitions_for_topic(topic):
        consumer.close()
        raise LabError(f"There is no topic {topic!r} at {address}.", "", "is its name right, and was it made?")
    consumer.subscribe([topic])
    ask_for_topics(consumer)
    return consumer


class Burying(ErrorHandler):
    """A recovery whose dead letters a function writes, called with consumer, producer, record and error.

    The function may commit the record, too: all before it in its partition is processed by then.
    """

    def __init__(self, consumer: KafkaConsumer, producer: KafkaProducer, function: Bury):
        super().__init__(producer)
        self.consumer, self.function = consumer, function

    def bury(self, record: ConsumerRecord, error: Exception, *_: object) -> None:
        """Call the function; what it raises comes out, and the record stays uncommitted."""
        self.function(self.consumer, self.producer, record, error)


def recovery_of(address: str, topic: str, consumer: KafkaConsumer, bury: Bury | None = None) -> ErrorHandler:
    """What becomes of events that fail; the caller closes its producer. Raises LabError without a topic for them."""
    letters = dead_letter.topic_of(topic)
    if not consumer.partitions_for_topic(letters):
        raise LabError(f"There is no topic {letters!r} for dead letters.", "", "make it: lab.dead_letters(topic)")
    settings = dead_letter.producer_settings() | {"client_id": f"{consumer.config['client_id']}-dead-letters"}
    producer = KafkaProducer(bootstrap_servers=address.split(","), bootstrap_timeout_ms=5_000, **settings)
    return Burying(consumer, producer, bury) if bury else ErrorHandler(producer)


def main(words: list[str] | None = None) -> int:
    """Run the service; returns the exit code: 0 if it was asked to end, 1 with a sentence if something is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m labsupport.delivery.payments", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("address", help="Kafka's, as host:port")
    parser.add_argument("topic")
    parser.add_argument("--group", required=True)
    parser.add_argument("--database", required=True, help="the file that the effects go to")
    parser.add_argument("--handle", help="a function of yours: work/handler.py:handle, called with event and database")
    parser.add_argument("--dead-letters", action="store_true", help="what cannot be processed goes to TOPIC-dlt")
    parser.add_argument("--bury", help="a function of yours for that: work/publisher.py:bury")
    parser.add_argument(
        "--name", default="A", help="of this member of the group; each that runs has its own (default: A)"
    )
    given = parser.parse_args(words)
    try:
        handle = function_of(given.handle) if given.handle else process
        bury = function_of(given.bury) if given.bury else None
        with closing(orders.database(given.database)) as database, contextlib.ExitStack() as stack:
            consumer = connect(given.address, given.topic, given.group, given.name)
            stack.callback(consumer.close, timeout_ms=5_000)
            recovery = None
            if given.dead_letters or bury:
                recovery = recovery_of(given.address, given.topic, consumer, bury)
                stack.callback(recovery.producer.close, timeout=5)
            print(f"{given.name} runs; kill -9 {os.getpid()} ends it at once.", flush=True)
            serve(consumer, database, handle, recovery)
    except KeyboardInterrupt:  # before it has begun; later it is a wish to end
        return 130
    except FencedInstanceIdError:
        return _failed(f"Another service of this group runs as {given.name}.", "give this one another --name")
    except EventError as error:
        return _failed(f"No event: {error}.", "it stays uncommitted, and what is behind it waits")
    except (LabError, KafkaError, sqlite3.Error) as error:
        return _failed(str(error), "")
    print("Ended; all that was processed is committed.", flush=True)
    return 0


def _say(moment: Moment) -> None:
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
