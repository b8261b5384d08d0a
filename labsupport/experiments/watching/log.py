"""A topic as the broker holds it at one moment: records, where each partition begins and ends, what is committed.

Lesson 02 looks at it; every later picture of a topic is drawn from it.
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

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Log:
    """What a topic held when it was read.

    `records` are kafka-python's own, by partition and offset. `begins` and `ends` are offsets by partition: the first
    that is still there, and the one that the next record will get. `committed`: the next offset that a group will read.
    """

    topic: str
    records: tuple[ConsumerRecord, ...]
    begins: Mapping[int, int]
    ends: Mapping[int, int]
    committed: Mapping[int, int] = field(default_factory=dict)

    @property
    def table(self) -> "pandas.DataFrame":
        """A row for each record: partition and offset (index), key and value as text."""
        import pandas  # here, because it takes longer to import than all the rest of a lesson

        rows = [(each.partition, each.offset, text(each.key), text(each.value)) for each in self.records]
        frame = pandas.DataFrame(rows, columns=["partition", "offset", "key", "value"])
        return frame.set_index(["partition", "offset"])

    @property
    def keys(self) -> "pandas.DataFrame":
        """How many records of each key (rows) are in each partition (columns)."""
        import pandas

        found = pandas.Series([text(each.key) for each in self.records], name="key", dtype=object)
        places = pandas.Series([each.partition for each in self.records], name="partition", dtype=int)
        return pandas.crosstab(found, places).reindex(columns=sorted(self.ends), fill_value=0)


def text(data: bytes | None) -> str:
    """Bytes as text: what is not UTF-8 as escapes, nothing as a dash."""
    return "–" if data is None else data.decode(errors="backslashreplace")


def read(cluster: Cluster, topic: str, group: str | None = None) -> Log:
    """Read all of `topic`, from its beginnings to what are its ends now; nobody's offsets change.

    `group` adds what that group has committed. Raises LabError if there is no such topic, or nothing comes for 10 s.
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
    """By partition: the first offset that is still there, and the one that the next record will get.

    Raises LabError if there is no such topic.
    """
    with _reader(cluster) as consumer:
        return _bounds(consumer, topic)


@contextlib.contextmanager
def _reader(cluster: Cluster) -> Iterator[KafkaConsumer]:
    try:
        yield cluster.consumer(name="lab-log")
    finally:
        cluster.close_client("lab-log")


def _bounds(consumer: KafkaConsumer, topic: str) -> tuple[dict[int, int], dict[int, int]]:
    places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    if not places:
        raise LabError(f"There is no topic {topic!r}.", "", "run the episode from its first cell, which makes it")
    begins, ends = consumer.beginning_offsets(places), consumer.end_offsets(places)
    return {place.partition: begins[place] for place in places}, {place.partition: ends[place] for place in places}


def committed(cluster: Cluster, topic: str, group: str) -> dict[int, int]:
    """By partition, the next offset that the group will read; without those for which it has committed nothing.

    Raises LabError if Kafka does not tell.
    """
    offsets = cluster.ask(f"what {group} has committed", lambda admin: admin.list_group_offsets(group)[group])
    return {place.partition: each.offset for place, each in offsets.items() if place.topic == topic}
