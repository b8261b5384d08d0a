"""A producer that has nothing to send rests.

By itself kafka-python's (3.0.12) does not: once a partition is gone that it wrote to, its thread asks for metadata
without a pause, for ever, and takes a whole processor. It looks for the leader of every partition that it ever wrote
to, and not only of those that it has records for.
"""

from typing import Any

from kafka import KafkaProducer, TopicPartition

NOBODY = object()  # the leader of a partition for which nothing waits: unlike None it is not asked for


class _Leaders:
    """The cluster's metadata, as far as the producer's thread asks for it, and what waits for each partition."""

    def __init__(self, cluster: Any, waiting: dict[TopicPartition, Any]):
        self._cluster, self._waiting = cluster, waiting

    def leader_for_partition(self, place: TopicPartition) -> Any:
        leader = self._cluster.leader_for_partition(place)
        return NOBODY if leader in (None, -1) and not self._waiting.get(place) else leader


def rests(producer: KafkaProducer) -> KafkaProducer:
    """The producer, whose thread asks only for the leaders of partitions that it has records for."""
    accumulator = producer._accumulator
    ready = accumulator.ready
    accumulator.ready = lambda cluster, now=None: ready(_Leaders(cluster, accumulator._batches), now=now)
    return producer
