"""Members of one group in this process, for checks that ask what each of them has."""

import contextlib
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import OffsetAndMetadata

from labsupport.course.exercise import CHECKED
from labsupport.kafka_fixes import ask_for_topics
from labsupport.waiting import until

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

READS = {"enable_auto_commit": False, "auto_offset_reset": "earliest"}
QUICK = READS | {"heartbeat_interval_ms": 100}


def fresh_group(lab: "Lesson", name: str) -> str:
    """The name of a group of the check's that has no members and has committed nothing."""
    group = lab.group(f"{CHECKED}-{name}")
    lab.delete_groups([group])
    return group


def commit(lab: "Lesson", topic: str, group: str, offsets: Mapping[int, int]) -> None:
    """What an earlier run has committed, by partition; the group has no members now."""
    settings = lab.config("consumer", group_id=group, **READS)
    with contextlib.closing(KafkaConsumer(**settings)) as consumer:
        for number, offset in offsets.items():
            consumer.commit({TopicPartition(topic, number): OffsetAndMetadata(offset, "", -1)}, timeout_ms=5_000)


def send(lab: "Lesson", topic: str, counts: Collection[int]) -> None:
    """So many records in each partition, in one batch; the value of each is its offset."""
    producer = lab.producer(name="check", max_block_ms=3_000, linger_ms=200)
    sent = [
        producer.send(topic, b"%d" % offset, partition=partition)
        for partition, count in enumerate(counts)
        for offset in range(count)
    ]
    producer.flush(timeout=5)
    for sending in sent:
        sending.get(timeout=5)


@contextlib.contextmanager
def joined(
    lab: "Lesson", topic: str, group: str, names: Sequence[str], **settings: Any
) -> Iterator[list[KafkaConsumer]]:
    """For the body of a `with`: consumers of these names (their client_id) in this process; each has its share.

    They poll at the same time, each in a thread of its own, as members in processes of their own do.
    """
    keys = [f"{CHECKED} {group} {name}" for name in names]
    enough = threading.Event()
    try:
        consumers = [
            lab.consumer(topic, name=key, client_id=name, group_id=group, **QUICK | settings)
            for key, name in zip(keys, names, strict=True)
        ]

        def polling(consumer: KafkaConsumer) -> None:
            while not enough.is_set():
                consumer.poll(timeout_ms=300)

        def settled() -> bool:
            known = {
                consumer.config["client_id"]: sorted(place.partition for place in consumer.assignment())
                for consumer in consumers
            }
            return lab.owners(group) == known

        with ThreadPoolExecutor(len(consumers)) as pool:
            threads = [pool.submit(polling, consumer) for consumer in consumers]
            try:
                until(lambda: settled() or any(thread.done() for thread in threads), 20, f"{group} to share")
            finally:
                enough.set()
        for thread in threads:
            thread.result()  # raises what its poll raised
        yield consumers
    finally:
        for key in keys:
            lab.close_client(key)


def subscribe(consumer: KafkaConsumer, topic: str, listener: Any = None) -> None:
    """Subscribe to this one topic."""
    consumer.subscribe([topic], listener=listener)
    ask_for_topics(consumer)


class Other:
    """A member that joins later: it polls in a thread of its own, and keeps what it is handed out.

    It has partition 2, and commits there as much as `commits` says when it leaves.
    """

    def __init__(self, consumer: KafkaConsumer, topic: str, each: int):
        """There are `each` records in each partition."""
        self.consumer, self.topic, self.each = consumer, topic, each
        self.records: list[ConsumerRecord] = []
        self.at_the_end = False  # whether it has partitions, and has been handed out all of them
        self.commits = 0  # of partition 2, when it leaves; 0 is nothing
        self._leaves = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def join(self) -> None:
        """Begin to poll."""
        subscribe(self.consumer, self.topic)
        self._thread.start()

    def leave(self) -> None:
        """Commit `commits` in partition 2, and leave the group."""
        self._leaves.set()
        self._thread.join(timeout=15)

    def _poll(self) -> None:
        while not self._leaves.is_set():
            for records in self.consumer.poll(timeout_ms=100).values():
                self.records += records
            places = self.consumer.assignment()
            self.at_the_end = bool(places) and all(self.consumer.position(place) >= self.each for place in places)
        if self.commits:
            offsets = {TopicPartition(self.topic, 2): OffsetAndMetadata(self.commits, "", -1)}
            self.consumer.commit(offsets, timeout_ms=5_000)
        self.consumer.close(timeout_ms=5_000)
