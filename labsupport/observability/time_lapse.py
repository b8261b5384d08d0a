"""An hour in seconds: traffic and a group's work on a real topic, minute by minute. Lesson 14.

The records are dated: those of a minute carry that minute as their timestamp, and what is measured is measured as of
that minute. So ages do not depend on how fast this machine is, and everything else is Kafka's: a real consumer reads
and commits, and lag and age come from the broker.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kafka import KafkaConsumer
from kafka.structs import OffsetAndMetadata

from labsupport.broker.cluster import Cluster
from labsupport.delivery.reading import READS
from labsupport.delivery.record_time import milliseconds
from labsupport.experiments.watching import lag_series
from labsupport.observability.group_lag import Observer
from labsupport.shop import story
from labsupport.waiting import until

MINUTE = 60_000  # milliseconds
TRAFFIC, MEMBER = "time-lapse-traffic", "time-lapse-member"  # the clients' names


class Sample(NamedTuple):
    """What was measured of a group in one minute: lag (offsets), the age of its next record (minutes), and more.

    `end` and `committed` are offsets; `committed` is None if the group has committed nothing.
    """

    minute: int
    lag: int
    age: float
    members: int
    end: int
    committed: int | None


@dataclass(frozen=True)
class Hour:
    """What was measured each minute, and how old each event was when it was handled (minutes), in order."""

    samples: tuple[Sample, ...]
    ages: tuple[int, ...]

    @property
    def lags(self) -> list[int]:
        """The lag in each minute."""
        return [sample.lag for sample in self.samples]

    @property
    def series(self) -> lag_series.Series:
        """The samples as alert rules take them, in seconds."""
        return tuple(
            lag_series.Sample(60.0 * each.minute, 0, each.members, each.end, each.committed, each.lag, 60 * each.age)
            for each in self.samples
        )


@dataclass(frozen=True)
class Plan:
    """The events that arrive in each minute, and the most that the group's consumer can handle in each.

    A capacity of 0 means that there is no consumer. At the offset `poison` it meets an event that it cannot
    handle, and never gets past it.
    """

    arrivals: Sequence[int]
    capacity: Sequence[int]
    poison: int | None = None

    def expected(self) -> Hour:
        """The same hour, computed instead of measured. Pure."""
        waiting: deque[int] = deque()
        samples, ages, done, end = [], [], 0, 0
        for minute, (arriving, most) in enumerate(zip(self.arrivals, self.capacity, strict=True)):
            waiting += [minute] * arriving
            end += arriving
            for _ in range(most):
                if not waiting or done == self.poison:
                    break
                ages.append(minute - waiting.popleft())
                done += 1
            age = float(minute - waiting[0]) if waiting else 0.0
            samples.append(Sample(minute, len(waiting), age, int(most > 0), end, done or None))
        return Hour(tuple(samples), tuple(ages))


def play(cluster: Cluster, topic: str, group: str, plan: Plan) -> Hour:
    """Let the plan happen on the empty topic, which has one partition, and measure it each minute.

    Deletes the group first. Raises LabError if Kafka does not answer.
    """
    cluster.delete_groups([group])
    opening = milliseconds(story.OPENING, "the opening")
    producer = cluster.producer(name=TRAFFIC, linger_ms=5)
    consumer: KafkaConsumer | None = None
    samples, ages, sent = [], [], 0
    try:
        with Observer(cluster, {group}.__contains__, {topic}.__contains__) as observer:
            for minute, (arriving, most) in enumerate(zip(plan.arrivals, plan.capacity, strict=True)):
                now = opening + minute * MINUTE
                for sending in [producer.send(topic, b"", timestamp_ms=now) for _ in range(arriving)]:
                    sending.get(timeout=60)
                sent += arriving
                if most and consumer is None:
                    consumer = _member(cluster, topic, group)
                elif consumer and not most:
                    cluster.close_client(MEMBER)
                    consumer = None
                if consumer:
                    end = sent if plan.poison is None else min(sent, plan.poison)
                    ages += [(now - written) // MINUTE for written in _handle(consumer, most, end)]
                samples.append(_measure(observer, group, minute, now))
    finally:
        cluster.close_client(MEMBER)
        cluster.close_client(TRAFFIC)
    return Hour(tuple(samples), tuple(ages))


def _member(cluster: Cluster, topic: str, group: str) -> KafkaConsumer:
    """A consumer that has joined the group and owns the partition."""
    consumer = cluster.consumer(topic, name=MEMBER, group_id=group, **READS)

    def joined() -> bool:
        for partition, records in consumer.poll(timeout_ms=100, max_records=1).items():
            consumer.seek(partition, records[0].offset)  # it only joins
        return bool(consumer.assignment())

    until(joined, 60, "the consumer to join its group", every=0)
    return consumer


def _handle(consumer: KafkaConsumer, most: int, end: int) -> list[int]:
    """Handle up to `most` records, but none from offset `end` on, and commit; returns their timestamps (ms)."""
    (partition,) = consumer.assignment()
    begin = consumer.position(partition)
    wanted = min(most, end - begin)
    written: list[int] = []

    def enough() -> bool:
        written.extend(
            record.timestamp
            for record in consumer.poll(timeout_ms=100, max_records=wanted - len(written)).get(partition, [])
        )
        return len(written) == wanted

    if wanted > 0:
        until(enough, 60, "the minute's records", every=0)
        consumer.commit({partition: OffsetAndMetadata(begin + wanted, "", -1)})
    return written


def _measure(observer: Observer, group: str, minute: int, now: int) -> Sample:
    """The group's lag, age and members as of `now` (ms since 1970).

    A group that has committed nothing and has no members does not exist.
    """
    snapshot = observer.snapshot()
    seen = snapshot.of(group)
    if seen is None:
        return Sample(minute, 0, 0.0, 0, sum(snapshot.ends.values()), None)
    (offsets,) = [each.offsets for each in seen.partitions]
    # The observer's ages count from its own clock.
    age = (now / 1_000 - (snapshot.time - seen.age)) / 60 if seen.age else 0.0
    return Sample(minute, seen.lag, round(age, 3), len(seen.group.members), offsets.end, offsets.committed)
