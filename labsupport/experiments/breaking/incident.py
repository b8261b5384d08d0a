"""An incident: a release of the shop wrote wrong amounts, and payments wrote dead letters. Lesson 10 investigates it.

The lab's worker writes the dead letters. To find the cause, a learner needs values, headers and errors together.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.broker.cluster import Cluster
from labsupport.delivery import catch_up, retry
from labsupport.shop import story
from labsupport.shop.event import Event

LIMIT = 10_000  # the largest amount that payments accepts
OLD, GOOD, BAD, REPAIRED = b"2.2", b"2.3", b"2.4", b"2.5"  # releases of the shop; BAD writes amounts in cents
UNKNOWN_CUSTOMERS = ("USR-999", "USR-731")  # payments knows no such customers


@dataclass(frozen=True)
class ShopRecord:
    """A record as the shop sends it."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


def _sent(event: Event, release: bytes, **changed: Any) -> ShopRecord:
    event = replace(event, payload={**event.payload, **changed})
    return ShopRecord(story.key_of(event), event.encode(), (*event.headers(), ("release", release)))


def _cents(event: Event) -> int:
    return int(event.payload["amount"] * 100)


KINDS: Mapping[str, Callable[[Event], ShopRecord]] = {
    "cents": lambda event: _sent(event, BAD, amount=_cents(event)),
    "too much": lambda event: _sent(event, GOOD, amount=LIMIT + _cents(event)),
    "too much, of old": lambda event: _sent(event, OLD, amount=LIMIT + _cents(event)),
    "stranger": lambda event: _sent(event, BAD, amount=_cents(event), user_id=UNKNOWN_CUSTOMERS[0]),
    "cut off": lambda event: replace(_sent(event, BAD), value=event.encode()[:70]),
    "no event": lambda event: ShopRecord(story.key_of(event), b"\xff\xfe", ()),
    "too much, in cents": lambda event: _sent(event, BAD, amount=100 * LIMIT + _cents(event)),
}


def morning(seed: int, count: int = 11) -> list[ShopRecord]:
    """The records of a morning: each kind at least once, mostly cents, in an order that depends on the seed."""
    chance = random.Random(seed)
    orders = [event for event in story.events(20 * count, seed) if event.event_type == "OrderCreated"]
    orders = [event for event in orders if _cents(event) > LIMIT]  # in cents, it is above the limit
    kinds = [*KINDS, *["cents"] * (count - len(KINDS))]
    chance.shuffle(kinds)
    return [KINDS[kind](event) for kind, event in zip(kinds, orders, strict=False)]


def edge_cases() -> list[ShopRecord]:
    """Records that expose nearly right answers: amounts at the limit, and other releases."""
    event = next(event for event in story.events(20, seed=99) if event.event_type == "OrderCreated")
    schema = _sent(event, GOOD, amount=LIMIT + _cents(event))
    return [
        _sent(event, BAD, amount=100 * LIMIT),  # exactly the limit, which is allowed
        _sent(event, BAD, amount=100 * LIMIT + 50),
        _sent(event, REPAIRED, amount=LIMIT + _cents(event)),
        _sent(event, BAD, amount=_cents(event), user_id=UNKNOWN_CUSTOMERS[1]),
        replace(schema, headers=(*schema.headers, ("schema", BAD))),
    ]


def decode_before(record: ConsumerRecord) -> Event:
    """Decode a record as payments did that morning."""
    return Event.decode(record.value)


def decode_repaired(record: ConsumerRecord) -> Event:
    """Decode a record as the repaired payments does: the amounts of release 2.4 are cents."""
    event = Event.decode(record.value)
    if dict(record.headers).get("release") != BAD:
        return event
    return replace(event, payload={**event.payload, "amount": event.payload["amount"] / 100})


def process(event: Event) -> None:
    """The handler of payments, then and now: refuse what cannot be right with PermanentError."""
    if (customer := event.payload.get("user_id")) in UNKNOWN_CUSTOMERS:
        raise retry.PermanentError(f"there is no customer {customer}")
    if event.payload["amount"] > LIMIT:
        raise retry.PermanentError(f"amount {event.payload['amount']} is above the limit of {LIMIT}")


def cause(kafka: Cluster, topic: str, sent: Sequence[ShopRecord] | None = None) -> None:
    """Publish these records, by default a morning's, to this topic, and run payments, which writes dead letters.

    The dead letter topic must exist (`lab.dead_letters(topic)`).
    """
    producer = kafka.producer(name="shop")
    for each in morning(1) if sent is None else sent:
        producer.send(topic, each.value, each.key, list(each.headers))
    producer.flush(timeout=60)
    run_payments(kafka, topic, decode_before)


def run_payments(kafka: Cluster, topic: str, decode: Callable[[ConsumerRecord], Event]) -> None:
    """Run payments from its committed offsets to the end, with this `decode`."""
    catch_up.catch_up(kafka, topic, f"{topic}-payments", process, decode=decode)
