"""For the bench: the cost of the lessons' helpers, compared with hand-written loops in plain kafka-python.

Both do the same work on the same topic, alternately, so that a machine that gets slower affects both.
"""

import sqlite3
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.broker.cluster import Cluster
from labsupport.delivery import publish, reading
from labsupport.delivery.reading import after
from labsupport.delivery.worker import Worker
from labsupport.history import rebuilding, report
from labsupport.shop import story
from labsupport.shop.event import Event

WINDOW = 1_000  # sends in flight, for both


def publish_by_hand(producer: KafkaProducer, topic: str, events: Sequence[Event]) -> None:
    """Publish with the loop of lesson 03."""
    waiting: deque = deque()
    for event in events:
        if len(waiting) == WINDOW:
            waiting.popleft().get(timeout=60)
        key, value, headers = story.key_of(event), event.encode(), event.headers()
        waiting.append(producer.send(topic, key=key, value=value, headers=headers))
    while waiting:
        waiting.popleft().get(timeout=60)


def read_by_hand(consumer: KafkaConsumer, partition: TopicPartition) -> int:
    """Read with the loop of lesson 04; returns the number of records."""
    count = 0
    end = consumer.end_offsets([partition])[partition]
    while consumer.position(partition) < end:
        for records in consumer.poll(timeout_ms=200).values():
            for _ in records:
                count += 1
    return count


def rebuild_with_helper(consumer: KafkaConsumer, partition: TopicPartition, database: sqlite3.Connection) -> None:
    """Rebuild with the lab's helper."""
    report.rebuild(consumer, partition.topic, database)


def rebuild_by_hand(consumer: KafkaConsumer, partition: TopicPartition, database: sqlite3.Connection) -> None:
    """Rebuild with the loop of lesson 11: handle all records; once a second store the state and commit."""
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end = consumer.end_offsets([partition])[partition]
    last = time.monotonic()
    while consumer.position(partition) < end:
        for records in consumer.poll(timeout_ms=200).values():
            for record in records:
                report.add(database, decode(record))
        if time.monotonic() - last >= rebuilding.EVERY:
            database.commit()
            consumer.commit()
            last = time.monotonic()
    database.commit()
    consumer.commit()


def decode(record: ConsumerRecord) -> Event:
    """Decode the event in a record."""
    return Event.decode(record.value)


def work_by_hand(consumer: KafkaConsumer, partition: TopicPartition, handle: Callable[[object], object]) -> None:
    """Consume with the loop of lesson 07, which commits each poll's records after handling them, as the worker does."""
    end = consumer.end_offsets([partition])[partition]
    while consumer.position(partition) < end:
        for records in consumer.poll(timeout_ms=200).values():
            for record in records:
                handle(record)
            consumer.commit(after(records[-1]), timeout_ms=5_000)


def seconds(work: Callable[[], object]) -> float:
    """Return how long it takes, in seconds."""
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


def measure(kafka: Cluster, events: int = 5_000, rounds: int = 5) -> dict[str, tuple[float, float]]:
    """Return seconds of the helper and of the loop by hand: publish so many events, read them `rounds` times."""
    batch = story.events(events, seed=1)
    topic = kafka.create_topic("97-loops")
    producer = kafka.producer(name="loops")
    publish.publish(producer, topic, batch[:500], in_flight=WINDOW)  # connected, and its code is warm
    published = [
        (
            seconds(lambda: publish.publish(producer, topic, batch, in_flight=WINDOW)),
            seconds(lambda: publish_by_hand(producer, topic, batch)),
        )
        for _ in range(rounds)
    ]
    partition = TopicPartition(topic, 0)
    consumer = kafka.consumer(name="loops-reader", group_id="97-loops", **reading.READS)
    consumer.assign([partition])

    def read(loop: Callable[[], object]) -> float:
        consumer.seek_to_beginning(partition)
        consumer.position(partition)
        return seconds(loop)

    def with_helper() -> int:
        return sum(1 for _ in reading.to_the_end(consumer))

    read(with_helper)
    done = [(read(with_helper), read(lambda: read_by_hand(consumer, partition))) for _ in range(rounds)]
    handle = deque[object](maxlen=1).append  # as little work as there is
    working = [
        (
            read(lambda: Worker(consumer, handle).run(until=reading.at_the_end(consumer))),
            read(lambda: work_by_hand(consumer, partition, handle)),
        )
        for _ in range(rounds)
    ]
    rebuilt = [_rebuild(kafka, partition, number) for number in range(rounds // 2)]
    records = f"{consumer.position(partition) * rounds:,}"
    return {
        f"publish {rounds * events:,} events": _sums(published),
        f"read {records} events": _sums(done),
        f"handle and commit {records} events": _sums(working),
        f"rebuild a report from {consumer.position(partition) * len(rebuilt):,} events": _sums(rebuilt),
    }


def _rebuild(kafka: Cluster, partition: TopicPartition, number: int) -> tuple[float, float]:
    """Return seconds of the helper and of the loop by hand, each with its own group and file."""
    taken = []
    for work in (rebuild_with_helper, rebuild_by_hand):
        group = f"97-{work.__name__}-{number}"
        consumer = kafka.consumer(name="rebuilder", group_id=group, enable_auto_commit=False)
        consumer.committed(partition, timeout_ms=30_000)  # the group's coordinator is there
        with tempfile.TemporaryDirectory() as folder, closing(report.database(Path(folder, "report.db"))) as database:
            begin = time.monotonic()
            work(consumer, partition, database)
            taken.append(time.monotonic() - begin)
    return taken[0], taken[1]


def _sums(rounds: Sequence[tuple[float, float]]) -> tuple[float, float]:
    helper, by_hand = zip(*rounds, strict=True)
    return sum(helper), sum(by_hand)
