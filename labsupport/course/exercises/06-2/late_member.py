"""A member that joins a group later than the learner's, and leaves it."""

import threading
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import OffsetAndMetadata

from labsupport.kafka_fixes import ask_for_topics


def subscribe(consumer: KafkaConsumer, topic: str, listener: Any = None) -> None:
    """Subscribe to the topic, and fetch its metadata first."""
    consumer.subscribe([topic], listener=listener)
    ask_for_topics(consumer)


class LateMember:
    """A member that joins later: it polls in a thread of its own, and keeps the records that it gets.

    When it leaves, it commits `commits` in partition 2.
    """

    def __init__(self, consumer: KafkaConsumer, topic: str, each: int):
        """Each partition has `each` records."""
        self.consumer, self.topic, self.each = consumer, topic, each
        self.records: list[ConsumerRecord] = []
        self.at_the_end = False  # whether it has partitions, and has read all their records
        self.commits = 0  # the offset that it commits in partition 2 when it leaves; 0: none
        self._leaves = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def join(self) -> None:
        """Subscribe, and begin to poll."""
        subscribe(self.consumer, self.topic)
        self._thread.start()

    def leave(self) -> None:
        """Commit `commits` in partition 2, and leave the group."""
        self._leaves.set()
        self._thread.join(timeout=60)

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
