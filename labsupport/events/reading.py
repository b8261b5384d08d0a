"""Reading to the end: the poll loop that lesson 04 writes by hand, for all later lessons."""

import contextlib
import time
from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

from labsupport.base import LabError, progress


def to_the_end(consumer: KafkaConsumer, patience: float = 10.0) -> Iterator[ConsumerRecord]:
    """Yield the records of the consumer's partitions up to what were their ends when it got them.

    It commits nothing. Raises LabError when nothing has moved for `patience` seconds: no partition was assigned, or
    Kafka does not answer.
    """
    ends: dict[TopicPartition, int] = {}
    beyond: dict[TopicPartition, int] = {}  # positions past the end: auto_offset_reset will move them
    moved = time.monotonic()
    with progress("Reading", 0, "record") as bar, _patient(consumer, patience):
        while True:
            for place in consumer.assignment() - ends.keys():  # at first, and after a rebalance
                (ends[place],) = consumer.end_offsets([place], timeout_ms=1_000 * patience).values()
                position = consumer.position(place, timeout_ms=1_000 * patience)
                if position > ends[place]:
                    beyond[place] = position
                bar.total += max(0, ends[place] - position)
                moved = time.monotonic()
            # The position, not the last record seen: a transaction's marker has an offset and is no record.
            at = {place: consumer.position(place, timeout_ms=1_000 * patience) for place in consumer.assignment()}
            if at and all(at[place] >= ends[place] and at[place] != beyond.get(place) for place in at):
                return
            for records in consumer.poll(timeout_ms=200).values():
                yield from records
                bar.update(len(records))
                moved = time.monotonic()
            if time.monotonic() - moved > patience:
                raise _stuck(consumer, patience)


def after(record: ConsumerRecord) -> dict[TopicPartition, OffsetAndMetadata]:
    """What to commit when this record, and all before it in its partition, have been processed: the next offset."""
    return {TopicPartition(record.topic, record.partition): OffsetAndMetadata(record.offset + 1, "", -1)}


@contextlib.contextmanager
def _patient(consumer: KafkaConsumer, patience: float) -> Iterator[None]:
    """Turn a time-out of the client's in the body of a `with` into the sentence of `_stuck`."""
    try:
        yield
    except KafkaTimeoutError as error:
        raise _stuck(consumer, patience) from error


def _stuck(consumer: KafkaConsumer, patience: float) -> LabError:
    topics = ", ".join(sorted(consumer.subscription() or {place.topic for place in consumer.assignment()}))
    if not consumer.assignment():
        missing = sorted(topic for topic in consumer.subscription() or () if not consumer.partitions_for_topic(topic))
        seen = f"there is no topic {', '.join(missing)}" if missing else "other members of its group have them all"
        return LabError(
            f"Got no partition of {topics or 'any topic'} in {patience:g} s.",
            seen,
            "is its name right, and was it made?" if missing else "close the other consumers, or use another group_id",
        )
    return LabError(
        f"Nothing came from {topics} in {patience:g} s, though it is not read to its end.",
        "Kafka does not answer",
        "is Kafka up? Run the first cell of the lesson again, or in a terminal: python3 lab.py status",
    )
