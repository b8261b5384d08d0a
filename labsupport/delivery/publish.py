"""Publish events so that each one's outcome is known: the loop that lesson 03 writes by hand."""

from collections import deque
from collections.abc import Iterable

from kafka import KafkaProducer
from kafka.future import Future

from labsupport.console import progress
from labsupport.delivery.record_time import milliseconds
from labsupport.errors import LabError
from labsupport.shop import story
from labsupport.shop.event import Event


def publish(
    producer: KafkaProducer,
    topic: str,
    events: Iterable[Event],
    *,
    in_flight: int = 1_000,
    dated: bool = False,
) -> int:
    """Send the events in order, wait until all are acknowledged, and return their number.

    At most `in_flight` are on their way; `send()` itself has no limit. Raises the client's error
    for the first event that was not acknowledged, with a note that names it: all earlier ones are
    stored, and later ones that were on their way may be. With `dated`, a record has its event's
    timestamp instead of the time of sending.
    """
    require_window(in_flight)
    waiting: deque[tuple[Event, Future]] = deque()
    count = 0
    for event in progress("Publishing", unit="event", over=events):
        if len(waiting) >= in_flight:
            _settle(*waiting.popleft())
        waiting.append((event, _send(producer, topic, event, dated)))
        count += 1
    while waiting:
        _settle(*waiting.popleft())
    return count


def numbers(producer: KafkaProducer, topic: str, count: int, partitions: int = 1) -> None:
    """Send records with the values "0", "1" … to partitions 0, 1 … in turn, and wait until all are acknowledged.

    In a new topic of one partition a record's value is its offset. Raises the client's error for the first record that
    was not acknowledged.
    """
    sent = [producer.send(topic, value=b"%d" % number, partition=number % partitions) for number in range(count)]
    for sending in sent:
        sending.get(timeout=60)


def require_window(in_flight: int) -> None:
    """Raise LabError unless `in_flight` is a whole number from 1."""
    if not isinstance(in_flight, int) or in_flight < 1:
        raise LabError(
            f"in_flight is {in_flight!r}.", "it limits the records on their way", "give a whole number from 1"
        )


def _send(producer: KafkaProducer, topic: str, event: Event, dated: bool) -> Future:
    at = milliseconds(event.timestamp, "timestamp") if dated else None
    try:
        return producer.send(topic, event.encode(), story.key_of(event), event.headers(), timestamp_ms=at)
    except Exception as error:
        error.add_note(f"the event that was not sent: {event!r}")
        raise


def _settle(event: Event, sending: Future) -> None:
    try:
        sending.get(timeout=60)
    except Exception as error:
        error.add_note(f"the first event that was not acknowledged: {event!r}")
        raise
