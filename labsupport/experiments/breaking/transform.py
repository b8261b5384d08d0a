"""Consume, transform, produce: killed once and started again, with and without a transaction. Lesson 17.

The service copies orders from one topic to another and writes a row for each into its database. Its output and its
offsets can be one transaction of Kafka. The database is never part of it.
"""

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.broker.cluster import Cluster
from labsupport.delivery import inbox as events
from labsupport.delivery import orders
from labsupport.delivery.reading import READS, after, at_the_end, id_of
from labsupport.experiments.breaking import faults
from labsupport.experiments.breaking.faults import At
from labsupport.experiments.watching import log
from labsupport.shop.event import Event

BATCH = 4  # records of a poll, and so of a transaction
# Where it can be killed, once in each batch.
SENT, OFFSETS_SENT, COMMITTED = "sent", "offsets sent", "committed"
OFFSETS = "__consumer_offsets"  # the broker's topic of committed offsets: a transaction with offsets includes it
PENDING = "the group's offsets are pending"
# Longer than any experiment, and less than the broker's limit: so a transaction that nobody ends stays open.
TRANSACTION_MS = 600_000
# A slow machine is no reason to leave the group. A later start takes the place at once: the member "A" is static.
PATIENT = {"session_timeout_ms": 60_000, "max_poll_interval_ms": 300_000}


@dataclass(frozen=True)
class Outcome:
    """What there is when the last start has ended, counted in orders.

    `committed` and `uncommitted`: by order, how often a reader of either isolation level gets it. `rows`: by order, its
    rows in the database. `stuck`: whether the last start got no records, because an earlier one's offsets are pending.
    """

    committed: Counter[str]
    uncommitted: Counter[str]
    rows: Counter[str]
    stuck: bool = False


def twice(counts: Counter[str]) -> int:
    """How many orders there are more than once."""
    return sum(count > 1 for count in counts.values())


# One batch: step(consumer, producer, batch, copy, at), where copy(record) writes a row and sends the copy.
Copy = Callable[[ConsumerRecord], None]
Step = Callable[[KafkaConsumer, KafkaProducer, list[ConsumerRecord], Copy, At], None]


def together(consumer: KafkaConsumer, producer: KafkaProducer, batch: list[ConsumerRecord], copy: Copy, at: At) -> None:
    """Output and offsets in one transaction."""
    producer.begin_transaction()
    for record in batch:
        copy(record)
    at(SENT)
    producer.send_offsets_to_transaction(after(batch[-1]), consumer.group_metadata())
    at(OFFSETS_SENT)
    producer.commit_transaction()


def output_alone(
    consumer: KafkaConsumer, producer: KafkaProducer, batch: list[ConsumerRecord], copy: Copy, at: At
) -> None:
    """The output in a transaction, the offsets after it."""
    producer.begin_transaction()
    for record in batch:
        copy(record)
    producer.commit_transaction()
    at(SENT)
    consumer.commit(after(batch[-1]))


def apart(consumer: KafkaConsumer, _: KafkaProducer, batch: list[ConsumerRecord], copy: Copy, at: At) -> None:
    """No transaction: the output, then the offsets."""
    for record in batch:
        copy(record)
    at(SENT)
    consumer.commit(after(batch[-1]))


def run(
    kafka: Cluster,
    source: str,
    target: str,
    group: str,
    database: Path,
    ids: Sequence[str | None],
    step: Step = together,
    *,
    inbox: bool = False,
    kill_at: str = "",
    nth: int = 2,
) -> Outcome:
    """Start the service once for each of `ids`, its `transactional_id` there (None: without transactions); count then.

    `step` handles a batch. `inbox`: whether the database recognises an event that comes again.
    The first start is killed at the nth time that it passes `kill_at`, the others run to the end of `source`, which has
    one partition. Transactions that were left open are ended when all is counted.
    """
    lines: tuple[str, ...] = ()
    try:
        for number in range(len(ids)):
            where: dict[str, Any] = {"kill_at": kill_at, "nth": nth} if number == 0 and kill_at else {}
            arguments = (source, target, group, str(database), tuple(ids[: number + 1]), step, inbox)
            lines = faults.run(kafka, copy, *arguments, **where).lines
        _end(kafka, ids[-1:])  # it ran to its end: this waits until its last transaction can be seen
        held = log.read(kafka, target)
    finally:
        _end(kafka, ids)
    committed = Counter(id_of(each) for each in held.valid if each.offset < held.stable[each.partition])
    return Outcome(committed, Counter(map(id_of, held.records)), orders.effects(database), PENDING in lines)


def _end(kafka: Cluster, ids: Sequence[str | None]) -> None:
    """End what producers of these ids have left open."""
    for each in {each for each in ids if each}:
        kafka.producer(name="ending", transactional_id=each).init_transactions()
    kafka.close_client("ending")


def copy(
    kafka: Cluster,
    at: At,
    source: str,
    target: str,
    group: str,
    database: str,
    ids: Sequence[str | None],
    step: Step,
    inbox: bool,
) -> None:
    """In a process that can be killed: copy what the group has not committed, a batch at a time.

    `ids`: the `transactional_id` of each start, this one's last.
    """
    settings = {"group_id": group, "group_instance_id": "A", "max_poll_records": BATCH} | PATIENT
    consumer = kafka.consumer(source, name="A", **READS | settings)
    ours: dict[str, Any] = {"transactional_id": ids[-1], "transaction_timeout_ms": TRANSACTION_MS} if ids[-1] else {}
    producer = kafka.producer(name="copier", **ours)
    if ids[-1]:
        producer.init_transactions()
    ended = at_the_end(consumer, 60)
    with closing(orders.database(database)) as rows:
        write = functools.partial(_once if inbox else _always, rows)

        def copy(record: ConsumerRecord) -> None:
            write(Event.decode(record.value))
            producer.send(target, record.value, record.key, record.headers).get(timeout=60)

        while not _held(kafka, ids) and not ended():
            batch = [record for records in consumer.poll(timeout_ms=200).values() for record in records]
            if batch:
                step(consumer, producer, batch, copy, at)
                at(COMMITTED)


def _held(kafka: Cluster, ids: Sequence[str | None]) -> bool:
    """Whether an earlier start has left the group's offsets in an open transaction; says so."""
    earlier = sorted({each for each in ids[:-1] if each} - {ids[-1]})
    if not earlier:
        return False
    described = kafka.ask("earlier transactions", lambda admin: admin.describe_transactions(earlier)).values()
    if not any(each.state == "Ongoing" and OFFSETS in {at.topic for at in each.topic_partitions} for each in described):
        return False
    print(PENDING)
    return True


def _always(database: Any, event: Event) -> None:
    with database:
        orders.effect(database, event)


def _once(database: Any, event: Event) -> None:
    events.once(database, event.event_id, lambda: orders.effect(database, event))
