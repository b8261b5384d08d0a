"""What was sent back already, as the dead letters' original topics tell it. Redrive asks. Lesson 10."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.delivery.dead_letter import DeadLetter, copied
from labsupport.delivery.record_time import moment
from labsupport.history.offset_range import OffsetRange
from labsupport.history.replay import Replay
from labsupport.history.selection import Selection, resolve

PATIENCE = 10.0  # seconds
EARLIER_MS = 60_000  # by so much two machines' clocks may differ

Pair = tuple[ConsumerRecord, DeadLetter]  # a dead letter, and the record that it lies in
Marks = Mapping[str, set[str | None]]  # by origin: to which groups it was sent back, None for all


class Sent:
    """What was sent back to the original topics of these dead letters: `marks`. A topic that is not there holds none.

    Each is read from a minute before the first of its dead letters was written, for no copy can be older; if that is
    not known, from its beginning.
    """

    def __init__(self, consumer: KafkaConsumer, pairs: Iterable[Pair]):
        self.consumer, self.marks = consumer, defaultdict(set)
        # By topic: from when on it is read, in milliseconds since 1970, 0 for all of it; and up to where it was.
        self._since: dict[str, int] = {}
        self._read: dict[str, tuple[OffsetRange, ...]] = {}
        latest = int(1_000 * time.time()) + EARLIER_MS
        for record, letter in pairs:
            written = record.timestamp - EARLIER_MS if 0 < record.timestamp <= latest else 0
            self._since[letter.topic] = min(self._since.get(letter.topic, written), written)
        self.read()

    def read(self) -> None:
        """Read the topics; again: what has come since."""
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
                # Only where it begins is a matter of time: what lies behind that counts, whatever its own time is.
                ranges = resolve(self.consumer, Selection(topic, since=moment(since) if since > 0 else None))
            Replay(self.consumer, Selection(topic), ranges, "", PATIENCE).look(self._look)
            self._read[topic] = ranges

    def _look(self, record: ConsumerRecord) -> None:
        for origin, group in copied(record):
            self.marks[origin].add(group)


def groups_of(letter: DeadLetter, before: Marks) -> set[str | None]:
    """To which groups its record was sent back, None for all."""
    return set().union(*(before.get(origin, ()) for origin in letter.origins))
