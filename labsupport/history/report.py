"""A read model: what each customer ordered, paid and bid per day, built from events only. Lesson 11.

The report keeps each relevant event as one row under the event's id, and adds up when it is asked. The rows are a set:
duplicates and order make no difference, so a payment may come before its order. SQLite keeps them in a file, which
survives a kill and holds long histories.
"""

import hashlib
import sqlite3
from dataclasses import astuple, dataclass
from decimal import Context, Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from kafka import KafkaConsumer

from labsupport.history import rebuilding
from labsupport.history.replay_report import ReplayReport
from labsupport.shop.event import Event

if TYPE_CHECKING:
    import pandas

TABLE = """
CREATE TABLE IF NOT EXISTS facts (
    event_id TEXT PRIMARY KEY, kind TEXT NOT NULL, at TEXT NOT NULL, about TEXT NOT NULL, user_id TEXT,
    amount TEXT NOT NULL
) WITHOUT ROWID
"""
# The event types that count, each with its kind and its subject. A payment names no customer; its order does.
KINDS = {
    "OrderCreated": ("order", "order_id"),
    "PaymentProcessed": ("payment", "order_id"),
    "BidSubmitted": ("bid", "auction_id"),
}
# If an order has two events, the earlier one names the customer, whichever arrived first.
LINES = """
WITH customers AS (SELECT about, user_id, MIN(at || event_id) FROM facts WHERE kind = 'order' GROUP BY about)
SELECT COALESCE(facts.user_id, customers.user_id, '?') AS customer, SUBSTR(at, 1, 10) AS day,
    SUM(kind = 'order'), exact_sum(CASE kind WHEN 'order' THEN amount END),
    SUM(kind = 'payment'), exact_sum(CASE kind WHEN 'payment' THEN amount END),
    SUM(kind = 'bid')
FROM facts LEFT JOIN customers ON kind = 'payment' AND facts.about = customers.about
GROUP BY customer, day ORDER BY customer, day
"""
EXACT = Context(prec=100)  # an amount has up to 18 digits on either side of the point


@dataclass(frozen=True)
class Line:
    """One customer's day (in UTC). The customer is "?" while the order of a payment is not known."""

    customer: str
    day: str
    orders: int
    ordered: Decimal
    payments: int
    paid: Decimal
    bids: int


def database(path: Path | str) -> sqlite3.Connection:
    """Open the report's file, creating it if necessary; the caller closes it. `:memory:` stores nothing."""
    connection = sqlite3.connect(path, timeout=5.0)
    # A killed process loses nothing by this, only a power cut could; each commit is milliseconds faster.
    connection.execute("PRAGMA synchronous = OFF")
    connection.create_aggregate("exact_sum", 1, _Sum)  # type: ignore[arg-type]  # typeshed knows sums of int only
    with connection:
        connection.execute(TABLE)
    return connection


def add(database: sqlite3.Connection, event: Event) -> bool:
    """Add an event, in the open transaction or a new one; the caller commits.

    Returns whether the report changed: an event that was added before, or is of another type, changes nothing.
    """
    if event.event_type not in KINDS:
        return False
    kind, about = KINDS[event.event_type]
    payload, at = event.payload, event.timestamp.isoformat()
    user_id = None if kind == "payment" else payload["user_id"]
    row = (event.event_id, kind, at, payload[about], user_id, str(payload["amount"]))
    return database.execute("INSERT OR IGNORE INTO facts VALUES (?, ?, ?, ?, ?, ?)", row).rowcount == 1


def rebuild(consumer: KafkaConsumer, topic: str, database: sqlite3.Connection) -> ReplayReport:
    """Rebuild the report in `database` from all of `topic`; `consumer` and errors are as in `rebuilding`."""
    return rebuilding.rebuild(
        consumer,
        topic,
        lambda event: add(database, event),
        decode=lambda record: Event.decode(record.value),
        keep=database.commit,
    )


def lines(database: sqlite3.Connection) -> list[Line]:
    """The report's lines, by customer and day."""
    return [
        Line(customer, day, orders, Decimal(ordered), payments, Decimal(paid), bids)
        for customer, day, orders, ordered, payments, paid, bids in database.execute(LINES)
    ]


def digest(database: sqlite3.Connection) -> str:
    """A hash of all lines: two reports with the same lines have the same hash."""
    written = hashlib.sha256()
    for line in lines(database):
        written.update(repr(tuple(map(str, astuple(line)))).encode())
    return written.hexdigest()[:16]


def table(database: sqlite3.Connection) -> "pandas.DataFrame":
    """A row per customer and day: orders, payments, bids as numbers of events, ordered and paid as amounts."""
    import pandas  # here, because it takes longer to import than all the rest of a lesson

    columns = ["customer", "day", "orders", "ordered", "payments", "paid", "bids"]
    return pandas.DataFrame(map(astuple, lines(database)), columns=columns).set_index(["customer", "day"])


class _Sum:
    """The sum of amounts as text, to the last digit: SQLite itself would add them as binary floats."""

    def __init__(self) -> None:
        self.sum = Decimal(0)

    def step(self, amount: str | None) -> None:
        if amount is not None:
            self.sum = EXACT.add(self.sum, Decimal(amount))

    def finalize(self) -> str:
        return str(self.sum)
