"""Workarounds for producers: an idle one must not keep a processor busy, and a closed one must end."""

from typing import Any

from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaTimeoutError

NOBODY = object()  # a leader for which the producer does not ask, unlike None


class _Leaders:
    """The cluster's metadata as the sender thread sees it: a partition without waiting records lacks no leader."""

    def __init__(self, cluster: Any, waiting: dict[TopicPartition, Any]):
        self._cluster, self._waiting = cluster, waiting

    def leader_for_partition(self, partition: TopicPartition) -> Any:
        leader = self._cluster.leader_for_partition(partition)
        return NOBODY if leader in (None, -1) and not self._waiting.get(partition) else leader


def rest_when_idle(producer: KafkaProducer) -> KafkaProducer:
    """Make the producer ask only for leaders of partitions for which it has records; returns it.

    Fault (3.0.12): the sender thread looks for the leader of every partition that it ever wrote to. Once such a
    partition is gone, it requests metadata in a busy loop, for ever. Not reported that we found; #579 and #1907 are
    other busy loops of the same thread.
    """
    accumulator = producer._accumulator
    ready = accumulator.ready
    accumulator.ready = lambda cluster, now=None: ready(_Leaders(cluster, accumulator._batches), now=now)
    return producer


def close(producer: KafkaProducer, timeout: float) -> None:
    """Close the producer, also while records of it wait for a broker that does not answer; these are given up.

    Raises KafkaTimeoutError if there are such records after `timeout` seconds.

    Fault (3.0.12): then `close()` raises before it has closed anything. The sender thread runs on, and when the
    producer is collected, `__del__` prints the same error between other lines. Not reported that we found.
    """
    try:
        producer.close(timeout=timeout)
    except KafkaTimeoutError:
        producer._sender.force_close()
        producer._sender.join(timeout)
        producer._closed = True
        raise
