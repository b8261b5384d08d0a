"""Every group's lag and age as metrics for Prometheus.

Names and labels are kafka_exporter's (https://github.com/danielqsj/kafka_exporter), which has no age: the name here is
the one that was proposed there (issue 464). kafka-lag-exporter calls it `kafka_consumergroup_group_lag_seconds`, with
the label `group`. Unlike kafka_exporter's, the lag of a partition in which nothing is committed is the whole log, not
−1.
"""

import threading
from collections.abc import Callable, Iterator

from kafka.errors import KafkaError
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from labsupport.errors import LabError
from labsupport.observability.group_lag import Snapshot

PARTITION = ["consumergroup", "topic", "partition"]


class GroupLagCollector(Collector):
    """Takes a snapshot at each scrape. If Kafka does not answer, only `kafka_lag_exporter_up` is there, and is 0."""

    def __init__(self, take: Callable[[], Snapshot]):
        self.take = take
        self._lock = threading.Lock()  # the page answers each request in a thread of its own

    def collect(self) -> Iterator[Metric]:
        """The families of one snapshot."""
        try:
            with self._lock:
                snapshot = self.take()
        except (LabError, KafkaError):
            yield _up(0)
            return
        yield _up(1)
        yield from families(snapshot)


def registry(take: Callable[[], Snapshot]) -> CollectorRegistry:
    """A registry with these metrics and no others; `take` is called at each scrape."""
    made = CollectorRegistry()
    made.register(GroupLagCollector(take))
    return made


def _up(value: int) -> Metric:
    return GaugeMetricFamily("kafka_lag_exporter_up", "Whether Kafka answered the last scrape.", value)


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """The snapshot's metrics. An age or a committed offset that does not exist has no sample."""
    lag = GaugeMetricFamily(
        "kafka_consumergroup_lag",
        "Offsets that the group has not committed, transaction markers included.",
        labels=PARTITION,
    )
    age = GaugeMetricFamily(
        "kafka_consumergroup_lag_seconds",
        "Age of the oldest record that the group has not committed (read_committed).",
        labels=PARTITION,
    )
    committed = GaugeMetricFamily("kafka_consumergroup_current_offset", "Committed offset.", labels=PARTITION)
    members = GaugeMetricFamily("kafka_consumergroup_members", "Members of the group.", labels=PARTITION[:1])
    for each in snapshot.groups:
        members.add_metric([each.group.name], len(each.group.members))
        for partition in each.partitions:
            labels = [each.group.name, partition.topic, str(partition.partition)]
            lag.add_metric(labels, partition.lag)
            if partition.age is not None:
                age.add_metric(labels, partition.age)
            if partition.offsets.committed is not None:
                committed.add_metric(labels, partition.offsets.committed)
    yield from (lag, age, committed, members)
    ends = GaugeMetricFamily("kafka_topic_partition_current_offset", "Log end offset.", labels=PARTITION[1:])
    begins = GaugeMetricFamily("kafka_topic_partition_oldest_offset", "Log start offset.", labels=PARTITION[1:])
    for family, offsets in ((ends, snapshot.ends), (begins, snapshot.begins)):
        for topic_partition, offset in offsets.items():
            family.add_metric([topic_partition.topic, str(topic_partition.partition)], offset)
        yield family
