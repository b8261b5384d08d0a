"""The shop of lesson 16's mornings: its events, and the two services that read them. `mornings.py` lets it go wrong.

payments keeps each event's effect and the state of each order. It writes both by their ids, so that an event may come
again. mails sends a mail for each event, and cannot take one back: it skips replayed records, and nothing else.
"""

import contextlib
import random
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count, cycle
from pathlib import Path

from kafka import KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.partitioner.default import murmur2

from labsupport.delivery import orders
from labsupport.errors import PermanentError
from labsupport.history.replay import replayed
from labsupport.shop import story
from labsupport.shop.event import Event

PARTITIONS = (0, 1)
EVENTS = 36
EARLY = 12  # events, which were processed before anything went wrong
BEFORE, SINCE = b"2.3", b"2.4"  # releases of the shop; the second one sends the second half of the events
METHODS = ("card", "voucher", "transfer")  # of payment
STATES = "CREATE TABLE IF NOT EXISTS orders (order_id TEXT PRIMARY KEY, status TEXT NOT NULL, amount TEXT NOT NULL)"


@dataclass(frozen=True)
class Sent:
    """An event as the shop sends it: to this partition, by this release."""

    event: Event
    partition: int
    release: bytes

    @property
    def key(self) -> str:
        """The order."""
        return story.key_of(self.event).decode()

    @property
    def created(self) -> bool:
        """Whether it creates the order, rather than pays it."""
        return self.event.event_type == "OrderCreated"


def traffic(seed: str) -> list[Sent]:
    """A morning's orders and payments: the same ones for the same `seed`, and all kinds among them."""
    for attempt in count():
        chance = random.Random(f"{seed}/{attempt}")
        found = _traffic(chance, chance.getrandbits(32))
        if _is_rich(found):
            return found
    raise AssertionError


def _traffic(chance: random.Random, seed: int) -> list[Sent]:
    events = [each for each in story.events(4 * EVENTS, seed) if "order_id" in each.payload][:EVENTS]
    methods, totals, sent = cycle(chance.sample(METHODS, 3)), {}, []
    first = chance.randint(100, 800)  # the numbers of orders decide about their partitions
    for number, event in enumerate(events):
        order = f"ORD-{int(event.payload['order_id'][4:]) + first}"
        payload = {**event.payload, "order_id": order}
        if event.event_type == "OrderCreated":
            price, quantity = Decimal(chance.randint(500, 20_000)).scaleb(-2), chance.choice((1, 1, 2, 3, 4))
            totals[order] = price * quantity
            payload |= {"price": price, "quantity": quantity}
        else:
            payload |= {"method": next(methods)}
        event = replace(event, payload=payload | {"amount": totals[order]})
        partition = (murmur2(order.encode()) & 0x7FFFFFFF) % len(PARTITIONS)  # as the client's own partitioner
        sent.append(Sent(event, partition, BEFORE if number < EVENTS // 2 else SINCE))
    return sent


def _is_rich(found: Sequence[Sent]) -> bool:
    """Whether each mistake has events of its kind, and others that look like them."""
    late = [each for each in found if each.release == SINCE]
    quantities = [each.event.payload["quantity"] > 1 for each in late if each.created]
    paid = [each.event.payload["method"] for each in found if not each.created]
    return (
        min(sum(each.partition == partition for each in found[EARLY:]) for partition in PARTITIONS) >= 8
        and sum(quantities) >= 3
        and not all(quantities)
        and min(paid.count(method) for method in METHODS) >= 4
        and all(
            any(not each.created and each.partition == partition for each in found[:EARLY]) for partition in PARTITIONS
        )
    )


def send(producer: KafkaProducer, topic: str, traffic: Sequence[Sent]) -> None:
    """Send them in order, and wait for the acknowledgements."""
    sending = [
        producer.send(
            topic, each.event.encode(), each.key.encode(), [*each.event.headers(), ("release", each.release)],
            each.partition,
        )
        for each in traffic
    ]  # fmt: skip
    for each in sending:
        each.get(timeout=60)


@dataclass
class Payments:
    """The handler of payments, in one of its releases.

    It knows these `methods` of payment. It `computes` an order's amount from price and quantity, or believes what the
    shop has computed. For the events whose ids are in `refused`, the bank is closed.
    """

    database: Path
    methods: Collection[str] = METHODS
    computes: bool = True
    refused: Collection[str] = ()

    def __call__(self, event: Event) -> None:
        """Write the event's effect and the order's state. Raises PermanentError if the bank refuses it, or KeyError."""
        if event.event_id in self.refused:
            raise PermanentError("the bank is closed until 8:00")
        order, amount, method = event.payload["order_id"], event.payload["amount"], event.payload.get("method")
        if method and method not in self.methods:
            raise KeyError(method)
        if self.computes and "quantity" in event.payload:
            amount = event.payload["price"] * event.payload["quantity"]
        status = "open" if event.event_type == "OrderCreated" else "paid"
        with _writing(self.database) as database:
            database.execute(STATES)
            database.execute("DELETE FROM effects WHERE event_id = ?", (event.event_id,))
            orders.effect(database, event)
            state = "INSERT INTO orders VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET status = excluded.status"
            state += ", amount = excluded.amount" if status == "open" else ""
            database.execute(state, (order, status, str(amount)))


def mail(database: Path) -> Callable[[ConsumerRecord], None]:
    """The handler of mails: a row for each mail."""

    def send_mail(record: ConsumerRecord) -> None:
        if replayed(record) is None:
            with _writing(database) as connection:
                orders.effect(connection, Event.decode(record.value))

    return send_mail


def states(database: Path) -> dict[str, tuple[str, str]]:
    """Status and amount of each order, as payments has them."""
    with _writing(database) as connection:
        connection.execute(STATES)
        return {order: (status, amount) for order, status, amount in connection.execute("SELECT * FROM orders")}


@contextlib.contextmanager
def _writing(file: Path) -> Iterator[sqlite3.Connection]:
    """A transaction in the database, for the body of a `with`."""
    with closing(orders.database(file)) as database, database:
        yield database
