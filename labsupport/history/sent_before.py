"""Which dead letters were sent back before. The original topics tell. Lesson 10."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord

from labsupport import transactions
from labsupport.delivery.dead_letter import DeadLetter, copied
from labsupport.delivery.record_time import moment
from labsupport.history.offset_range import OffsetRange
from labsupport.history.scan import look
from labsupport.history.selection import Selection, resolve

PATIENCE = 10.0  # seconds
EARLIER_MS = 60_000  # two machines' clocks may differ by this much

Pair = tuple[ConsumerRecord, DeadLetter]  # a dead letter, and the record that it lies in
Marks = Mapping[str, set[str | None]]  # by origin, the groups to which it was sent back; None means all


class Sent:
    """Finds what was sent back to the original topics of these dead letters: `marks`. A missing topic holds nothing.

    Each topic is read from a minute before its first dead letter was written, because no copy can be older. If that
    time is unknown, the topic is read from its beginning.
    """

    def __init__(self, consumer: KafkaConsumer, pairs: Iterable[Pair]):
        self.consumer = consumer
        self.marks: defaultdict[str, set[str | None]] = defaultdict(set)
        # By topic: the time from which it is read (ms since 1970; 0: all of it), and what was read of it.
        self._since: dict[str, int] = {}
        self._read: dict[str, tuple[OffsetRange, ...]] = {}
        latest = int(1_000 * time.time()) + EARLIER_MS
        for record, letter in pairs:
            written = record.timestamp - EARLIER_MS if 0 < record.timestamp <= latest else 0
            self._since[letter.topic] = min(self._since.get(letter.topic, written), written)
        self.read()

    def read(self) -> None:
        """Read the topics. A second call reads only the records that came since."""
        for topic, since in self._since.items():
            if not self.consumer.partitions_for_topic(topic):
                continue
            if topic in self._read:
                known = {each.partition: each.stop for each in self._read[topic]}
                ranges = tuple(
                    replace(
                        each, start=stop if (stop := known.get(each.partition, 0)) <= each.log_end else each.log_start
                    )
                    for each in resolve(self.consumer, Selection(topic))
                )
            else:
                # The time only decides where to begin: after that every record counts, whatever its own time.
                ranges = resolve(self.consumer, Selection(topic, since=moment(since) if since > 0 else None))
            look(self.consumer, Selection(topic), ranges, self._look, PATIENCE)
            # A copy that waits for somebody's open transaction is stored: without it, it would be sent twice.
            hidden = [replace(each, start=each.stop, stop=each.log_end) for each in ranges if each.stop < each.log_end]
            with transactions.uncommitted(self.consumer):
                look(self.consumer, Selection(topic), hidden, self._look, PATIENCE)
            self._read[topic] = ranges

    def _look(self, record: ConsumerRecord) -> None:
        for origin, group in copied(record):
            self.marks[origin].add(group)


def groups_of(letter: DeadLetter, before: Marks) -> set[str | None]:
    """The groups to which the letter's record was sent back; None means all."""
    return set().union(*(before.get(origin, ()) for origin in letter.origins))
