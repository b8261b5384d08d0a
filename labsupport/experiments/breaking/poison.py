"""Trials of a worker with dead letters: poison records of all kinds at random offsets, on the real broker.

No partition may stall, no record may be lost or changed, and healthy records keep their order. The tests run a few
seeds, a soak test hundreds.
"""

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.broker.cluster import Cluster
from labsupport.console import progress
from labsupport.delivery import dead_letter, inbox, orders, reading
from labsupport.delivery.error_handler import ErrorHandler
from labsupport.delivery.moments import Kind, Moment
from labsupport.delivery.retry import Policy
from labsupport.delivery.worker import Worker
from labsupport.errors import TransientError
from labsupport.experiments.breaking import python_process
from labsupport.experiments.watching import balance, log
from labsupport.experiments.watching.balance import Sheet
from labsupport.history.librdkafka import ConfluentProducer
from labsupport.shop import story
from labsupport.shop.event import Event

EVENTS, PARTITIONS = 40, 3
QUICK = Policy(attempts=4, wait_initial=0.005, wait_max=0.02, timeout=60.0)

RawRecord = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]  # key, value, headers


def _changed(event: Event, old: bytes, new: bytes) -> bytes:
    return event.encode().replace(old, new, 1)


# Records that cannot be processed, each made from an event that can: key, value and headers.
KINDS: Mapping[str, Callable[[random.Random, Event], RawRecord]] = {
    "undecodable": lambda chance, event: (story.key_of(event), b"\xff" + chance.randbytes(30), []),
    "cut off": lambda chance, event: (story.key_of(event), event.encode()[: chance.randrange(1, 60)], event.headers()),
    "empty": lambda _, event: (story.key_of(event), b"", event.headers()),
    "unknown type": lambda _, event: (story.key_of(event), _changed(event, b'_type": "', b'_type": "X'), []),
    "from the future": lambda _, event: (story.key_of(event), _changed(event, b'_version": 1', b'_version": 99'), []),
    "missing field": lambda _, event: (story.key_of(event), _changed(event, b'"amount"', b'"sum"'), []),
    "tombstone": lambda _, event: (story.key_of(event), None, event.headers()),
    "nothing": lambda *_: (None, None, []),
    "odd headers": lambda _, event: (story.key_of(event), b"{", [("a", None), ("b", b"1"), ("b", b"\xff"), ("", None)]),
}


@dataclass(frozen=True)
class Result:
    """The result of one trial. `problems` are sentences about what went wrong; a passed trial has none.

    `poison`: the number of records that cannot be processed. `kinds`: their kinds, in the order of sending. `retries`:
    how often the worker retried a record.
    """

    seed: int
    poison: int
    kinds: tuple[str, ...]
    sheet: Sheet
    retries: int
    problems: tuple[str, ...]


def run(kafka: Cluster, seeds: Iterable[int], *, events: int = EVENTS) -> list[Result]:
    """Run one trial after another, with a progress bar. A seed decides what is poison, where, and what fails."""
    return list(progress("Poison", unit="trial", over=(run_trial(kafka, seed, events=events) for seed in seeds)))


def run_trial(kafka: Cluster, seed: int, *, events: int = EVENTS) -> Result:
    """Publish `events` events with poison among them, let a worker process them, and check broker and database.

    Some healthy events fail once or twice with a transient error. The topics and the group are deleted afterwards.
    """
    chance = random.Random(seed)
    name = getattr(kafka, "namespace", f"{kafka.prefix}96-") + f"poison-{seed}"
    dead = dead_letter.topic_of(name)
    kafka.delete_groups([name] if name in kafka.groups(name) else [])
    kafka.create_topic(name, PARTITIONS)
    kafka.create_topic(dead, PARTITIONS, **dead_letter.topic_settings())
    try:
        healthy = story.events(events, seed=seed)
        kinds = _publish(kafka, name, chance, healthy)
        failing = {event.event_id: chance.choice([1, 2]) for event in chance.sample(healthy, len(healthy) // 8)}
        with python_process.scratch_folder() as folder:
            moments = _work(kafka, name, folder / "shop.db", dict(failing), max_poll_records=chance.randint(1, 10))
            return _result(kafka, name, folder / "shop.db", seed, kinds, failing, moments)
    finally:
        kafka.delete_groups([name])
        kafka.delete_topics([name, dead])


def _publish(kafka: Cluster, topic: str, chance: random.Random, healthy: Sequence[Event]) -> tuple[str, ...]:
    """Publish the events in order, with poison between them; return the kinds of poison."""
    records: list[tuple[str, RawRecord]] = [
        ("", (story.key_of(each), each.encode(), each.headers())) for each in healthy
    ]
    # Made from events of another seed, so that what looks like an event has an id of its own.
    for event in story.events(max(1, len(healthy) // 4), seed=chance.randrange(10**9)):
        kind = chance.choice(sorted(KINDS))
        records.insert(chance.randrange(len(records) + 1), (kind, KINDS[kind](chance, event)))
    with closing(ConfluentProducer(kafka.connection)) as producer:
        for sending in [producer.send(topic, value, key, headers) for _, (key, value, headers) in records]:
            sending.get()
    return tuple(kind for kind, _ in records if kind)


def _work(kafka: Cluster, topic: str, path: Path, failing: dict[str, int], **settings: int) -> list[Moment]:
    moments: list[Moment] = []
    consumer = kafka.consumer(topic, name="poison", group_id=topic, **reading.READS | settings)
    producer = kafka.producer(name="poison-dead-letters", **dead_letter.producer_settings())
    try:
        with closing(orders.database(path)) as database:
            worker = Worker(
                consumer,
                partial(_handle, database, failing),
                decode=lambda record: Event.decode(record.value),
                hooks=[moments.append],
                error_handler=ErrorHandler(producer, QUICK),
            )
            worker.run(until=reading.at_the_end(consumer))
    finally:
        kafka.close_client("poison")
        kafka.close_client("poison-dead-letters")
    return moments


def _handle(database: sqlite3.Connection, failing: dict[str, int], event: Event) -> None:
    """Apply each event's effect once; `failing` says by id how often it fails first."""
    if failing.get(event.event_id, 0):
        failing[event.event_id] -= 1
        raise TransientError("busy at the moment")
    inbox.once(database, event.event_id, lambda: orders.effect(database, event))


def _result(
    kafka: Cluster,
    topic: str,
    path: Path,
    seed: int,
    kinds: tuple[str, ...],
    failing: Mapping[str, int],
    moments: Sequence[Moment],
) -> Result:
    """The result, from the broker and the database."""
    held = log.read(kafka, topic, topic)
    letters = log.read(kafka, dead_letter.topic_of(topic)).valid
    sheet = balance.read(kafka, topic, topic, path, dead_letters=dead_letter.topic_of(topic))
    poison = [record for record in held.valid if not _is_event(record)]
    problems = [
        *(
            f"partition {number} stalled at offset {held.committed.get(number)} of {end}"
            for number, end in _stalled(held)
        ),
        *_unlike(poison, letters),
        *(f"{key}: its events were processed in another order" for key in _disordered(held.valid, path)),
    ]
    expected = {"processed": len(held.records) - len(poison), "dead-lettered": len(poison), "twice": 0}
    if any(sheet.count(outcome) != count for outcome, count in expected.items()):
        problems.append(f"{sheet} Expected: {expected}")
    if rebalances := sum(moment.kind is Kind.ASSIGNED for moment in moments) - 1:
        problems.append(f"the group rebalanced {rebalances} times")
    retries = Counter(moment.event_id for moment in moments if moment.kind is Kind.RETRYING)
    if retries != Counter(failing):
        problems.append(f"retries by event: {dict(retries)}; transient errors: {dict(failing)}")
    waits = [moment.seconds or 0 for moment in moments if moment.kind is Kind.RETRYING]
    if not all(QUICK.wait_initial * (1 - QUICK.wait_jitter) <= wait <= QUICK.wait_max for wait in waits):
        problems.append(f"waits outside their bounds: {waits}")
    return Result(seed, len(poison), kinds, sheet, retries.total(), tuple(problems))


def _is_event(record: ConsumerRecord) -> bool:
    try:
        Event.decode(record.value)
    except ValueError:
        return False
    return True


def _stalled(held: log.Log) -> list[tuple[int, int]]:
    return [(number, end) for number, end in held.ends.items() if end and held.committed.get(number) != end]


def _unlike(poison: Sequence[ConsumerRecord], letters: Sequence[ConsumerRecord]) -> Iterator[str]:
    """Poison without exactly one identical dead letter, and dead letters of anything else."""
    found: dict[str, list[ConsumerRecord]] = {}
    for letter in letters:
        found.setdefault(dead_letter.unwrap(letter).coordinates, []).append(dead_letter.original(letter))
    for record in poison:
        coordinates = f"{record.topic}/{record.partition}/{record.offset}"
        match found.pop(coordinates, []):
            case [one]:
                same = all(
                    getattr(one, part) == getattr(record, part) for part in ("key", "value", "headers", "timestamp")
                )
                if not same:
                    yield f"{coordinates} was changed in its dead letter"
            case several:
                yield f"{coordinates} has {len(several)} dead letters"
    yield from (f"{coordinates} was dead-lettered, but is an event" for coordinates in found)


def _disordered(records: Sequence[ConsumerRecord], path: Path) -> list[str]:
    """The keys whose effects are in another order than their events in the log."""
    sent: dict[str, list[str]] = {}
    for record in records:
        if _is_event(record):
            sent.setdefault(log.text(record.key), []).append(reading.id_of(record))
    done: dict[str, list[str]] = {}
    with closing(orders.database(path)) as database:
        for event_id, key in database.execute("SELECT event_id, key FROM effects ORDER BY rowid"):
            done.setdefault(key, []).append(event_id)
    return [key for key in sent if done.get(key) != sent[key]]
