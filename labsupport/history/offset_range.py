"""Offset ranges: resolve both ends of a partition first, then read up to them."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaTimeoutError, OffsetOutOfRangeError

from labsupport.errors import LabError
from labsupport.kafka_fixes import UnreadableError, repaired


@dataclass(frozen=True)
class OffsetRange:
    """The offsets of one partition from `start` up to, but not including, `stop`.

    `log_start` and `log_end` are those of the log when the range was resolved. `notes` say where `start` or `stop`
    differs from what was asked for, and what waits for an open transaction.
    """

    partition: int
    log_start: int
    log_end: int
    start: int
    stop: int
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether the range holds no offset."""
        return self.start >= self.stop


# Resolving: pure


def inside(offset: int, begin: int, end: int) -> tuple[int, str]:
    """The offset, moved to the nearest end of the log if it lies outside; and a note if it was moved."""
    if offset < begin:
        return begin, f"offset {offset} is not there any more: the log begins at {begin}"
    if offset > end:
        return end, f"offset {offset} is not there yet: the log ends at {end}"
    return offset, ""


def since(found: int | None, first: int | None, end: int) -> tuple[int, str]:
    """The offset of a time, and a note if the whole log lies on one side of it.

    `found` is the first offset whose record is not older than the time, `first` that of the log's first record; None if
    there is no such record.
    """
    if first is None:
        return end, "the log is empty"
    if found is None:
        return end, f"every record is older: the log ends at {end}"
    return found, f"no record is older: the log begins at {first}" if found == first else ""


def read(
    consumer: KafkaConsumer,
    topic: str,
    ranges: Sequence[OffsetRange],
    expired: Callable[[int, int, int], object],
    unreadable: Callable[[int, int, int, UnreadableError], object],
    patience: float = 10.0,
) -> Iterator[tuple[int, list[ConsumerRecord], int]]:
    """Yield (partition, records, position) until every range has been read; `position` is the next offset.

    The position decides whether the end is reached, because transaction markers have offsets but are no records, and a
    compacted log has gaps. `expired(partition, start, stop)` is called for offsets that were deleted before they could
    be read, `unreadable(partition, start, stop, error)` for records that the client cannot read and that are passed
    over. The consumer is assigned the partitions that are left to read; nothing is committed. Raises LabError when
    nothing has moved for `patience` seconds, and when the topic was recreated meanwhile.
    """
    reader = _Reader(consumer, topic, ranges, expired, unreadable)
    moved = time.monotonic()
    while reader.left:
        idle = True
        for step in reader.poll():
            yield step
            idle, moved = False, time.monotonic()  # after the yield: the caller's work on the records does not count
        if idle:
            reader.require_ends()
        if time.monotonic() - moved > patience:
            raise LabError(
                f"Nothing came from {topic} in {patience:g} s, though it is not read to its end.",
                "Kafka does not answer, or the topic is gone",
                "is Kafka up? Run the first cell of the lesson again, or in a terminal: python3 lab.py status",
            )


class _Reader:
    """Keeps the ranges that are `left` to read, and for each partition the next offset that is `due`."""

    def __init__(
        self,
        consumer: KafkaConsumer,
        topic: str,
        ranges: Sequence[OffsetRange],
        expired: Callable[[int, int, int], object],
        unreadable: Callable[[int, int, int, UnreadableError], object],
    ):
        self.consumer, self.topic = repaired(consumer), topic
        self.expired, self.unreadable = expired, unreadable
        self.left = {TopicPartition(topic, each.partition): each for each in ranges if not each.empty}
        self.due = {partition: offset_range.start for partition, offset_range in self.left.items()}
        if self.left:
            consumer.assign(list(self.left))
        for partition, offset in self.due.items():
            consumer.seek(partition, offset)

    def poll(self) -> Iterator[tuple[int, list[ConsumerRecord], int]]:
        """Poll once; for each partition that has moved, yield its records and new position."""
        out_of_range: set[TopicPartition] = set()
        polled: dict[TopicPartition, list[ConsumerRecord]] = {}
        try:
            polled = self.consumer.poll(timeout_ms=200)
        except OffsetOutOfRangeError as error:  # with auto_offset_reset="none"; else the client moves by itself
            out_of_range = set(error.args[0])
        except UnreadableError as error:
            self._go_past(error)
        for partition, offset_range in list(self.left.items()):
            records, position = self._moved(partition, polled.get(partition, []), partition in out_of_range)
            if position == self.due[partition]:
                continue
            self.due[partition] = position
            if position >= offset_range.stop:
                del self.left[partition]
                if self.left:
                    # So that records added since are not fetched while the others are read. Unassigned, not paused:
                    # this client can leave a resumed partition standing (see kafka_fixes.resume).
                    self.consumer.assign(list(self.left))
                records = [record for record in records if record.offset < offset_range.stop]
            yield partition.partition, records, min(position, offset_range.stop)

    def _go_past(self, error: UnreadableError) -> None:
        if (offset_range := self.left.get(error.partition)) and error.start < offset_range.stop:
            self.unreadable(error.partition.partition, error.start, min(error.stop, offset_range.stop), error)
        self.consumer.seek(error.partition, error.stop)

    def _moved(
        self, partition: TopicPartition, records: list[ConsumerRecord], out_of_range: bool
    ) -> tuple[list[ConsumerRecord], int]:
        """The records that belong to the range, and the position after them. Explains a gap before them."""
        due = self.due[partition]
        try:
            position = self.consumer.position(partition, timeout_ms=1_000)
            first = records[0].offset if records else position
            if first == due and not out_of_range:
                return records, position
            (begin,) = self.consumer.beginning_offsets([partition], timeout_ms=5_000).values()
        except KafkaTimeoutError:
            self.consumer.seek(partition, due)
            return [], due
        if begin > due:
            # The client has reset the position by auto_offset_reset; "latest" would skip records that still exist.
            self.expired(partition.partition, due, min(begin, self.left[partition].stop))
            self.consumer.seek(partition, begin)
            return [], begin
        if first < due or out_of_range:
            raise self._recreated(partition)
        return records, position  # transaction markers, or records that compaction removed

    def require_ends(self) -> None:
        """Raise LabError if a log ends before its range. Does nothing if Kafka does not answer."""
        try:
            ends = self.consumer.end_offsets(list(self.left), timeout_ms=1_000)
        except KafkaTimeoutError:
            return
        for partition, offset_range in self.left.items():
            if ends[partition] < offset_range.stop:
                raise self._recreated(partition)

    def _recreated(self, partition: TopicPartition) -> LabError:
        stop = self.left[partition].stop
        return LabError(
            f"{partition.topic}, partition {partition.partition}, ends before offset {stop - 1}, which it had.",
            "the topic was deleted and created again while it was read",
            "begin again",
        )
