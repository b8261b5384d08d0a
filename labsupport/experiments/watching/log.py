"""A topic as the broker holds it now: its records, both ends of each partition, and a group's committed offsets.

Lesson 02 looks at it; later pictures of a topic are drawn from it. It is the one reader in the lab that reads
uncommitted: it shows transactions' markers, and which records were aborted (lesson 17).
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from labsupport import transactions
from labsupport.broker.cluster import Cluster
from labsupport.delivery.reading import to_the_end
from labsupport.errors import LabError
from labsupport.experiments.watching.lag import Lag, compute
from labsupport.experiments.watching.oldest_record import Probe
from labsupport.transactions import ABORTED, OPEN, READ_COMMITTED, Batch, Bounds
from labsupport.waiting import until

if TYPE_CHECKING:
    import pandas


class Marker(NamedTuple):
    """A transaction's marker. `ends`: "committed" or "aborted"."""

    partition: int
    offset: int
    ends: str


@dataclass(frozen=True)
class Log:
    """The contents of a topic when it was read, whatever became of its transactions.

    `records` are kafka-python's, ordered by partition and offset. `begins`, `ends` and `committed` are offsets by
    partition: log start, log end, and where a group continues. `stable` has the last stable offsets, up to which a
    `read_committed` consumer reads. `outcomes` says by partition and offset what became of each record that belongs to
    a transaction: committed, aborted or open.
    """

    topic: str
    records: tuple[ConsumerRecord, ...]
    begins: Mapping[int, int]
    ends: Mapping[int, int]
    committed: Mapping[int, int] = field(default_factory=dict)
    stable: Mapping[int, int] = field(default_factory=dict)
    outcomes: Mapping[tuple[int, int], str] = field(default_factory=dict)
    markers: tuple[Marker, ...] = ()

    @property
    def valid(self) -> tuple[ConsumerRecord, ...]:
        """The records that count: those of aborted and open transactions do not."""
        return tuple(each for each in self.records if self.outcome(each) not in (ABORTED, OPEN))

    def outcome(self, record: ConsumerRecord) -> str:
        """What became of the record's transaction: committed, aborted or open; "" if it belongs to none."""
        return self.outcomes.get((record.partition, record.offset), "")

    def number(self, outcome: str) -> int:
        """The number of records whose transaction is committed, aborted or open."""
        return sum(self.outcome(each) == outcome for each in self.records)

    @property
    def table(self) -> "pandas.DataFrame":
        """A row for each record: partition and offset (the index), key and value as text.

        In a log with transactions there are rows for markers, and a column that says what became of each transaction.
        """
        import pandas  # imported here, because it is slower to import than the rest of a lesson

        rows = [
            (each.partition, each.offset, text(each.key), text(each.value), self.outcome(each) or "–")
            for each in self.records
        ]
        rows += [(each.partition, each.offset, "–", "marker", each.ends) for each in self.markers]
        frame = pandas.DataFrame(sorted(rows), columns=["partition", "offset", "key", "value", "transaction"])
        frame = frame.set_index(["partition", "offset"])
        return frame if self.outcomes or self.markers else frame.drop(columns="transaction")

    @property
    def keys(self) -> "pandas.DataFrame":
        """The number of records by key (rows) and partition (columns), aborted and open ones included."""
        import pandas

        found = pandas.Series([text(each.key) for each in self.records], name="key", dtype=object)
        partitions = pandas.Series([each.partition for each in self.records], name="partition", dtype=int)
        return pandas.crosstab(found, partitions).reindex(columns=sorted(self.ends), fill_value=0)


def text(data: bytes | None) -> str:
    """Bytes as text: escapes for what is not UTF-8, a dash for None."""
    return "–" if data is None else data.decode(errors="backslashreplace")


def read(cluster: Cluster, topic: str, group: str | None = None) -> Log:
    """Read all of `topic`, up to its present end, without changing any group's offsets.

    `group` adds that group's committed offsets. Raises LabError if there is no such topic, or if no record arrives for
    10 s.
    """
    with _reader(cluster) as consumer:
        found = _bounds(consumer, topic)
        ends = {number: each.end for number, each in found.items()}
        noted = transactions.note_batches(consumer)
        consumer.assign([TopicPartition(topic, number) for number in found])
        consumer.seek_to_beginning()
        records = sorted(
            (each for each in to_the_end(consumer) if each.offset < ends[each.partition]),
            key=lambda record: (record.partition, record.offset),
        )
    batches = {place.partition: [some[first] for first in sorted(some)] for place, some in noted.items()}
    return Log(
        topic,
        tuple(records),
        {number: each.begin for number, each in found.items()},
        ends,
        committed(cluster, topic, group) if group else {},
        {number: each.stable for number, each in found.items()},
        {
            (number, offset): outcome
            for number, some in batches.items()
            for offset, outcome in transactions.outcomes(some, found[number].stable, ends[number]).items()
        },
        tuple(_markers(batches, ends)),
    )


def _markers(batches: Mapping[int, list[Batch]], ends: Mapping[int, int]) -> Iterator[Marker]:
    for number in sorted(batches):
        for each in batches[number]:
            if each.marker and each.first < ends[number]:
                yield Marker(number, each.first, each.marker)


def bounds(cluster: Cluster, topic: str) -> tuple[dict[int, int], dict[int, int]]:
    """Log start and log end offsets, each by partition. Raises LabError if there is no such topic."""
    with _reader(cluster) as consumer:
        found = _bounds(consumer, topic)
    return {number: each.begin for number, each in found.items()}, {number: each.end for number, each in found.items()}


def lag_of(cluster: Cluster, topic: str, group: str, positions: Mapping[int, int] | None = None) -> Lag:
    """Measure the group's lag, as a service would have it; `positions` as in `lag.compute`.

    Committed offsets are asked for before the ends, so a group that commits meanwhile is never ahead of its log. Where
    something is left, one fetch says whether a record is among it. Raises LabError as `read`.
    """
    done = committed(cluster, topic, group)
    with _reader(cluster) as consumer:
        found = _bounds(consumer, topic)
        waiting = transactions.held_up(consumer, {TopicPartition(topic, each): found[each] for each in found})
    begins, ends = ({number: each[side] for number, each in found.items()} for side in (0, 2))
    raw = compute(topic, begins, ends, done, positions)
    places = [
        (TopicPartition(topic, each.partition), each.end - each.lag)
        for each in raw.partitions
        if each.lag and not found[each.partition].hidden
    ]
    oldest = {}
    if places:
        try:
            probe = Probe(cluster, "lab-probe", READ_COMMITTED)
            oldest = probe.find(places, {each: ends[each.partition] for each, _ in places})
        finally:
            cluster.close_client("lab-probe")
    nothing = {each.partition for (each, _), found in oldest.items() if found.offset is None}
    said = {each.partition: words for each, words in waiting.items()}
    return compute(topic, begins, ends, done, positions, nothing, said)


def until_end(cluster: Cluster, topic: str, ends: Mapping[int, int]) -> None:
    """Wait until these partitions end there. A transaction's markers come after the coordinator has answered.

    Raises LabError after 60 s.
    """
    until(lambda: ends.items() <= bounds(cluster, topic)[1].items(), 60, f"the end of {topic}: {dict(ends)}")


@contextlib.contextmanager
def _reader(cluster: Cluster) -> Iterator[KafkaConsumer]:
    try:
        yield cluster.consumer(name="lab-log")
    finally:
        cluster.close_client("lab-log")


def _bounds(consumer: KafkaConsumer, topic: str) -> dict[int, Bounds]:
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    if not partitions:
        raise LabError(f"There is no topic {topic!r}.", "", "run the episode from its first cell, which creates it")
    return {each.partition: found for each, found in transactions.bounds(consumer, partitions).items()}


def committed(cluster: Cluster, topic: str, group: str) -> dict[int, int]:
    """The group's committed offsets by partition, without partitions in which it has committed nothing.

    Raises LabError if Kafka does not answer.
    """
    offsets = cluster.ask(f"what {group} has committed", lambda admin: admin.list_group_offsets(group)[group])
    return {each.partition: found.offset for each, found in offsets.items() if each.topic == topic}
