"""Trials of a worker with dead letters: poison of all kinds at random places, on the real broker.

Nothing may stand still, nothing may be lost or changed, and what is healthy keeps its order. A few seeds in the tests;
hundreds in a soak.
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

Wire = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]  # key, value, headers


def _changed(event: Event, old: bytes, new: bytes) -> bytes:
    return event.encode().replace(old, new, 1)


# What cannot be processed, made from an event that could: by chance, key, value and headers.
KINDS: Mapping[str, Callable[[random.Random, Event], Wire]] = {
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
class Trial:
    """How one trial ended. `problems` are sentences about what went wrong; there shall be none.

    `poison` is how many records could not be processed, `kinds` what they were; `retries` what the worker told of
    retrying.
    """

    seed: int
    poison: int
    kinds: tuple[str, ...]
    sheet: Sheet
    retries: int
    problems: tuple[str, ...]


def run(kafka: Cluster, seeds: Iterable[int], *, events: int = EVENTS) -> list[Trial]:
    """Play one trial after the other, with a progress bar; `seeds` decide what is poison, where, and what fails."""
    return list(progress("Poison", unit="trial", over=(play(kafka, seed, events=events) for seed in seeds)))


def play(kafka: Cluster, seed: int, *, events: int = EVENTS) -> Trial:
    """Publish so many events with poison among them, let a worker process them, and look at broker and database.

    Topics and group are the trial's own, and gone afterwards. Some healthy events fail once or twice for the moment.
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
        with python_process.scratch() as folder:
            moments = _work(kafka, name, folder / "shop.db", dict(failing), max_poll_records=chance.randint(1, 10))
            return _judged(kafka, name, folder / "shop.db", seed, kinds, failing, moments)
    finally:
        kafka.delete_groups([name])
        kafka.delete_topics([name, dead])


def _publish(kafka: Cluster, topic: str, chance: random.Random, healthy: Sequence[Event]) -> tuple[str, ...]:
    """The events in their order, with poison between them; returns the kinds that were sent."""
    wires: list[tuple[str, Wire]] = [("", (story.key_of(each), each.encode(), each.headers())) for each in healthy]
    # Made from events of another seed: what looks like an event has an id of its own.
    for event in story.events(max(1, len(healthy) // 4), seed=chance.randrange(10**9)):
        kind = chance.choice(sorted(KINDS))
        wires.insert(chance.randrange(len(wires) + 1), (kind, KINDS[kind](chance, event)))
    with closing(ConfluentProducer(kafka.bootstrap)) as producer:
        for sending in [producer.send(topic, value, key, headers) for _, (key, value, headers) in wires]:
            sending.get()
    return tuple(kind for kind, _ in wires if kind)


def _work(kafka: Cluster, topic: str, path: Path, failing: dict[str, int], **settings: int) -> list[Moment]:
    moments: list[Moment] = []
    always = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
    consumer = kafka.consumer(topic, name="poison", group_id=topic, **always | settings)
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
    """Each event has its effect once; `failing` says by id how often it fails before that."""
    if failing.get(event.event_id, 0):
        failing[event.event_id] -= 1
        raise TransientError("busy, for the moment")
    inbox.once(database, event.event_id, lambda: orders.effect(database, event))


def _judged(
    kafka: Cluster,
    topic: str,
    path: Path,
    seed: int,
    kinds: tuple[str, ...],
    failing: Mapping[str, int],
    moments: Sequence[Moment],
) -> Trial:
    """What the broker and the database say about it."""
    held = log.read(kafka, topic, topic)
    letters = log.read(kafka, dead_letter.topic_of(topic)).records
    sheet = balance.read(kafka, topic, topic, path, dead_letters=dead_letter.topic_of(topic))
    poison = [record for record in held.records if not _is_event(record)]
    problems = [
        *(f"partition {number} stands at {held.committed.get(number)} of {end}" for number, end in _stalled(held)),
        *_unlike(poison, letters),
        *(f"{key}: its events were processed in another order" for key in _disordered(held.records, path)),
    ]
    expected = {"processed": len(held.records) - len(poison), "dead-lettered": len(poison), "twice": 0}
    if any(sheet.count(outcome) != count for outcome, count in expected.items()):
        problems.append(f"{sheet} Expected: {expected}")
    if rebalances := sum(moment.kind is Kind.ASSIGNED for moment in moments) - 1:
        problems.append(f"the group rebalanced {rebalances} times")
    retries = Counter(moment.event_id for moment in moments if moment.kind is Kind.RETRYING)
    if retries != Counter(failing):
        problems.append(f"retried by event: {dict(retries)}, and failed for the moment: {dict(failing)}")
    waits = [moment.seconds or 0 for moment in moments if moment.kind is Kind.RETRYING]
    if not all(QUICK.wait_initial * (1 - QUICK.wait_jitter) <= wait <= QUICK.wait_max for wait in waits):
        problems.append(f"waits outside their bounds: {waits}")
    return Trial(seed, len(poison), kinds, sheet, retries.total(), tuple(problems))


def _is_event(record: ConsumerRecord) -> bool:
    try:
        Event.decode(record.value)
    except ValueError:
        return False
    return True


def _stalled(held: log.Log) -> list[tuple[int, int]]:
    return [(number, end) for number, end in held.ends.items() if end and held.committed.get(number) != end]


def _unlike(poison: Sequence[ConsumerRecord], letters: Sequence[ConsumerRecord]) -> Iterator[str]:
    """Poison without exactly one dead letter that is what it was, and dead letters of something else."""
    found: dict[str, list[ConsumerRecord]] = {}
    for letter in letters:
        found.setdefault(dead_letter.unwrap(letter).coordinates, []).append(dead_letter.original(letter))
    for record in poison:
        place = f"{record.topic}/{record.partition}/{record.offset}"
        match found.pop(place, []):
            case [one]:
                same = all(
                    getattr(one, part) == getattr(record, part) for part in ("key", "value", "headers", "timestamp")
                )
                if not same:
                    yield f"{place} was changed in its dead letter"
            case several:
                yield f"{place} has {len(several)} dead letters"
    yield from (f"{place} was dead-lettered, and is an event" for place in found)


def _disordered(records: Sequence[ConsumerRecord], path: Path) -> list[str]:
    """The keys whose healthy events have their effects in another order than they have in the log."""
    sent: dict[str, list[str]] = {}
    for record in records:
        if _is_event(record):
            sent.setdefault(log.text(record.key), []).append(reading.id_of(record))
    done: dict[str, list[str]] = {}
    with closing(orders.database(path)) as database:
        for event_id, key in database.execute("SELECT event_id, key FROM effects ORDER BY rowid"):
            done.setdefault(key, []).append(event_id)
    return [key for key in sent if done.get(key) != sent[key]]
