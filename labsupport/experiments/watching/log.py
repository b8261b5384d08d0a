"""A topic as the broker holds it now: its records, both ends of each partition, and a group's committed offsets.

Lesson 02 looks at it; later pictures of a topic are drawn from it.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.broker.cluster import Cluster
from labsupport.delivery.reading import to_the_end
from labsupport.errors import LabError
from labsupport.waiting import until

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Log:
    """The contents of a topic when it was read.

    `records` are kafka-python's, ordered by partition and offset. `begins`, `ends` and `committed` are offsets by
    partition: log start, log end, and where a group continues.
    """

    topic: str
    records: tuple[ConsumerRecord, ...]
    begins: Mapping[int, int]
    ends: Mapping[int, int]
    committed: Mapping[int, int] = field(default_factory=dict)

    @property
    def table(self) -> "pandas.DataFrame":
        """A row for each record: partition and offset (the index), key and value as text."""
        import pandas  # imported here, because it is slower to import than the rest of a lesson

        rows = [(each.partition, each.offset, text(each.key), text(each.value)) for each in self.records]
        frame = pandas.DataFrame(rows, columns=["partition", "offset", "key", "value"])
        return frame.set_index(["partition", "offset"])

    @property
    def keys(self) -> "pandas.DataFrame":
        """The number of records by key (rows) and partition (columns)."""
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
        begins, ends = _bounds(consumer, topic)
        consumer.assign([TopicPartition(topic, number) for number in ends])
        consumer.seek_to_beginning()
        found = sorted(
            (each for each in to_the_end(consumer) if each.offset < ends[each.partition]),
            key=lambda record: (record.partition, record.offset),
        )
    return Log(topic, tuple(found), begins, ends, committed(cluster, topic, group) if group else {})


def bounds(cluster: Cluster, topic: str) -> tuple[dict[int, int], dict[int, int]]:
    """Log start and log end offsets, each by partition. Raises LabError if there is no such topic."""
    with _reader(cluster) as consumer:
        return _bounds(consumer, topic)


def until_end(cluster: Cluster, topic: str, ends: Mapping[int, int]) -> None:
    """Wait until these partitions end there. A transaction's markers come after the coordinator has answered.

    Raises LabError after 30 s.
    """
    until(lambda: ends.items() <= bounds(cluster, topic)[1].items(), 30, f"the end of {topic}: {dict(ends)}")


@contextlib.contextmanager
def _reader(cluster: Cluster) -> Iterator[KafkaConsumer]:
    try:
        yield cluster.consumer(name="lab-log")
    finally:
        cluster.close_client("lab-log")


def _bounds(consumer: KafkaConsumer, topic: str) -> tuple[dict[int, int], dict[int, int]]:
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    if not partitions:
        raise LabError(f"There is no topic {topic!r}.", "", "run the episode from its first cell, which creates it")
    begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    return {each.partition: begins[each] for each in partitions}, {each.partition: ends[each] for each in partitions}


def committed(cluster: Cluster, topic: str, group: str) -> dict[int, int]:
    """The group's committed offsets by partition, without partitions in which it has committed nothing.

    Raises LabError if Kafka does not answer.
    """
    offsets = cluster.ask(f"what {group} has committed", lambda admin: admin.list_group_offsets(group)[group])
    return {each.partition: found.offset for each, found in offsets.items() if each.topic == topic}
