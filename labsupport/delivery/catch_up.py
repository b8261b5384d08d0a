"""A group catches up: a worker handles what is left of a topic, and stops at the end. Lesson 10 begins to use it.

The loop is the one that lesson 07 writes by hand: process, then commit. What fails becomes a dead letter, as in lesson
09. `payments.py` is a service that runs until it is stopped.
"""

from collections.abc import Callable, Iterable
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.broker.cluster import Cluster
from labsupport.delivery import dead_letter, reading
from labsupport.delivery.error_handler import ErrorHandler
from labsupport.delivery.moments import Kind, Moment
from labsupport.delivery.retry import Policy
from labsupport.delivery.worker import Worker
from labsupport.shop.event import Event


def event_in(record: ConsumerRecord) -> Event:
    """The record's event. Raises EventError if it holds none."""
    return Event.decode(record.value)


def catch_up(
    kafka: Cluster,
    topic: str,
    group: str,
    handle: Callable[[Any], object],
    *,
    name: str = "payments",
    decode: Callable[[ConsumerRecord], Any] = event_in,
    hooks: Iterable[Callable[[Moment], None]] = (),
    **settings: Any,
) -> int:
    """Call `handle(decode(record))` for all that `group` has not committed of `topic`; returns how many it handled.

    A record that fails becomes a dead letter at once; one that was redriven for another group is skipped. If the topic
    has no dead letter topic, the first error comes out, and its record stays uncommitted. `name` is the consumer's,
    `settings` are further settings of it.
    """
    moments: list[Moment] = []
    consumer = kafka.consumer(topic, name=name, group_id=group, **reading.READS | settings)
    letters = f"{name}-dead-letters"
    try:
        error_handler = None
        if consumer.partitions_for_topic(dead_letter.topic_of(topic)):
            producer = kafka.producer(name=letters, **dead_letter.producer_settings())
            error_handler = ErrorHandler(producer, Policy(attempts=1))
        worker = Worker(consumer, handle, decode=decode, error_handler=error_handler, hooks=[moments.append, *hooks])
        worker.run(until=reading.at_the_end(consumer))
    finally:
        kafka.close_client(name)
        kafka.close_client(letters)
    return sum(moment.kind is Kind.HANDLED for moment in moments)
