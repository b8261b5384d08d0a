"""Finds the oldest unprocessed record of a partition, the one at or next after an offset, and when it was written."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.broker.clients import Clients
from labsupport.kafka_fixes import UnreadableError

Place = tuple[TopicPartition, int]  # a partition and an offset

# A probe wants one record of each partition. The broker rounds this up to a whole batch.
FETCHES: dict[str, Any] = {
    "max_partition_fetch_bytes": 65_536,
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
}


@dataclass(frozen=True)
class Oldest:
    """What a probe found from an offset on.

    `written`: the record's timestamp, seconds since 1970; None if there is no record, or none that has a timestamp.
    `offset`: the record's; None if there is no record. `note` says what else there is to know.
    """

    written: float | None = None
    offset: int | None = None
    note: str = ""


class Probe:
    """A consumer without a group, which finds records by their place. It commits nothing. One thread at a time."""

    def __init__(self, clients: Clients, name: str, isolation_level: str):
        """`isolation_level` as Kafka's: with read_committed the records of aborted transactions count as none."""
        self._clients, self._name, self._isolation_level = clients, name, isolation_level
        self._consumer: KafkaConsumer | None = None

    def find(
        self, places: Iterable[Place], ends: dict[TopicPartition, int], seconds: float = 5.0
    ) -> dict[Place, Oldest]:
        """For each place, the first record from there on, before its partition's end.

        Several places in one partition take as many rounds. A place that has no answer within `seconds` is left out.
        Raises what the client raises, such as LabError or KafkaError.
        """
        if self._consumer is None:
            self._consumer = self._clients.consumer(name=self._name, isolation_level=self._isolation_level, **FETCHES)
        deadline = time.monotonic() + seconds
        found: dict[Place, Oldest] = {}
        left = sorted(set(places))
        while left and time.monotonic() < deadline:
            now = dict(reversed(left))  # one place in each partition: the first
            found |= self._round(self._consumer, now, ends, deadline)
            left = [place for place in left if place not in found and place not in now.items()]
        return found

    def _round(
        self,
        consumer: KafkaConsumer,
        wanted: dict[TopicPartition, int],
        ends: dict[TopicPartition, int],
        deadline: float,
    ) -> dict[Place, Oldest]:
        found = {(each, offset): Oldest() for each, offset in wanted.items() if offset >= ends[each]}
        notes: dict[TopicPartition, str] = {}
        left = {each for each, offset in wanted.items() if offset < ends[each]}
        consumer.assign(sorted(left))
        for partition in left:
            consumer.seek(partition, wanted[partition])
        while left and time.monotonic() < deadline:
            polled = {}
            try:
                polled = consumer.poll(timeout_ms=100)
            except UnreadableError as error:
                notes[error.partition] = "the client cannot read the first record: its age is that of a later one"
                consumer.seek(error.partition, error.stop)
            done = set()
            for partition in left:
                place = (partition, wanted[partition])
                if records := polled.get(partition):
                    found[place] = _oldest(records[0], notes.get(partition, ""))
                elif consumer.position(partition, timeout_ms=1_000) >= ends[partition]:
                    found[place] = Oldest(note=notes.get(partition, ""))
                else:
                    continue
                done.add(partition)
            if done:
                left -= done
                consumer.assign(sorted(left))  # drops what is fetched of the others; their position stays
        return found


def _oldest(record: ConsumerRecord, note: str) -> Oldest:
    written = record.timestamp / 1_000 if record.timestamp is not None and record.timestamp >= 0 else None
    return Oldest(written, record.offset, note)
