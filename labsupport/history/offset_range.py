"""A offset_range of each partition, with both ends fixed before it is read: where it lies in the log, and reading it."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaTimeoutError, OffsetOutOfRangeError

from labsupport.errors import LabError
from labsupport.kafka_fixes import UnreadableError, readable


@dataclass(frozen=True)
class OffsetRange:
    """The offsets of one partition from `start` up to `stop`, which does not belong to it, as in `range`.

    `begin` and `end` are the log's own, at the moment when the offset_range was fixed. `notes` say where `start` or `stop`
    is not what was asked for.
    """

    partition: int
    log_start: int
    log_end: int
    start: int
    stop: int
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether no offset belongs to it."""
        return self.start >= self.stop


# Where something lies in the log: pure


def inside(offset: int, begin: int, end: int) -> tuple[int, str]:
    """The offset, or the end of the log that is nearest to it; and a note if that is another one."""
    if offset < begin:
        return begin, f"offset {offset} is not there any more: the log begins at {begin}"
    if offset > end:
        return end, f"offset {offset} is not there yet: the log ends at {end}"
    return offset, ""


def since(found: int | None, first: int | None, end: int) -> tuple[int, str]:
    """Where a time lies: `found` is the first record that is not older, `first` the log's first; None if there is none.

    With a note if the whole log lies on one side of it.
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
    """Yield (partition, records, position) until every offset_range has been read; `position` is the next offset.

    The end is where the position says so: the marker of a transaction has an offset and is no record, and a compacted
    log has gaps. What was deleted before it could be read is told: `expired(partition, start, stop)`; and what the
    client cannot read, which is left: `unreadable(partition, start, stop, error)`. The consumer is given the partitions
    that are left to read, and keeps the last ones; nothing is committed. Raises LabError when nothing has moved for
    `patience` seconds, and when the topic was made anew meanwhile.
    """
    reader = _Reader(consumer, topic, ranges, expired, unreadable)
    moved = time.monotonic()
    while reader.left:
        idle = True
        for step in reader.poll():
            yield step
            idle, moved = False, time.monotonic()  # after the yield: what is done with the records does not count
        if idle:
            reader.require_ends()
        if time.monotonic() - moved > patience:
            raise LabError(
                f"Nothing came from {topic} in {patience:g} s, though it is not read to its end.",
                "Kafka does not answer, or the topic is gone",
                "is Kafka up? Run the first cell of the lesson again, or in a terminal: python3 lab.py status",
            )


class _Reader:
    """Where the reading of each partition is: what is `left`, and the next offset that is due."""

    def __init__(
        self,
        consumer: KafkaConsumer,
        topic: str,
        ranges: Sequence[OffsetRange],
        expired: Callable[[int, int, int], object],
        unreadable: Callable[[int, int, int, UnreadableError], object],
    ):
        self.consumer, self.topic = readable(consumer), topic
        self.expired, self.unreadable = expired, unreadable
        self.left = {TopicPartition(topic, each.partition): each for each in ranges if not each.empty}
        self.due = {partition: offset_range.start for partition, offset_range in self.left.items()}
        if self.left:
            consumer.assign(list(self.left))
        for partition, offset in self.due.items():
            consumer.seek(partition, offset)

    def poll(self) -> Iterator[tuple[int, list[ConsumerRecord], int]]:
        """One poll: of each partition that has moved, the records and the new position."""
        out_of_range: set[TopicPartition] = set()
        polled: dict[TopicPartition, list[ConsumerRecord]] = {}
        try:
            polled = self.consumer.poll(timeout_ms=200)
        except OffsetOutOfRangeError as error:  # with auto_offset_reset="none"; otherwise the client moves by itself
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
                    # What was added since is not fetched, however much it is, while the others are read. It is not
                    # paused: this client can leave a partition standing after it was resumed.
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
        """The records that count, and the position after them; a gap before them is looked into."""
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
            # The client has moved to where auto_offset_reset says; "latest" would skip what is still there.
            self.expired(partition.partition, due, min(begin, self.left[partition].stop))
            self.consumer.seek(partition, begin)
            return [], begin
        if first < due or out_of_range:
            raise self._made_anew(partition)
        return records, position  # markers, or what compaction took out

    def require_ends(self) -> None:
        """Raise LabError if a partition ends before its offset_range does. Harmless if Kafka does not answer."""
        try:
            ends = self.consumer.end_offsets(list(self.left), timeout_ms=1_000)
        except KafkaTimeoutError:
            return
        for partition, offset_range in self.left.items():
            if ends[partition] < offset_range.stop:
                raise self._made_anew(partition)

    def _made_anew(self, partition: TopicPartition) -> LabError:
        return LabError(
            f"{self.topic}, partition {partition.partition}, ends before offset {self.left[partition].stop - 1}, which it had.",
            "the topic was deleted and made anew while it was read",
            "begin again",
        )
