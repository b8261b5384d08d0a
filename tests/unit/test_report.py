"""The report is the same in whatever order and however often its events are delivered."""

import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labsupport.history import report
from labsupport.history.report import Line
from labsupport.shop import story
from labsupport.shop.event import Event

EVENTS = story.events(60, seed=1)


def of(events):
    """The report's lines and its hash, from these events in this order."""
    with closing(report.database(":memory:")) as database:
        for event in events:
            report.add(database, event)
        return report.lines(database), report.digest(database)


@given(st.permutations(EVENTS), st.lists(st.sampled_from(EVENTS), max_size=20))
@settings(max_examples=40, deadline=None)
def test_order_and_repetition_change_nothing(shuffled, again):
    """A payment before its order, an event twice, at once or later: the same lines and the same hash."""
    assert of([*shuffled, *again]) == of([*again, *shuffled]) == of(EVENTS)


def test_each_customer_and_day_is_a_line_with_the_sums_of_its_events():
    """Against the same sums in Python; a report that was generated does not count."""
    events = [each for each in story.events(3_000, seed=2) if each.event_type != "ReportGenerated"]
    whose = {each.payload["order_id"]: each.payload["user_id"] for each in events if each.event_type == "OrderCreated"}
    found = defaultdict(lambda: defaultdict(list))
    for event in events:
        customer = event.payload.get("user_id") or whose[event.payload["order_id"]]
        found[customer, f"{event.timestamp:%Y-%m-%d}"][event.event_type].append(event.payload["amount"])
    assert of(events)[0] == [
        Line(
            *key,
            len(amounts["OrderCreated"]), sum(amounts["OrderCreated"]),
            len(amounts["PaymentProcessed"]), sum(amounts["PaymentProcessed"]),
            len(amounts["BidSubmitted"]),
        )
        for key, amounts in sorted(found.items())
    ]  # fmt: skip


def test_a_payment_whose_order_is_not_known_is_seen():
    """Under "?" until the order comes: nothing disappears."""
    order = next(each for each in EVENTS if each.event_type == "OrderCreated")
    paid = next(each for each in EVENTS if each.payload.get("order_id") == order.payload["order_id"] and each != order)
    (line,), _ = of([paid])
    assert (line.customer, line.payments, line.paid) == ("?", 1, paid.payload["amount"])
    (line,), _ = of([paid, order])
    assert (line.customer, line.orders, line.payments) == (order.payload["user_id"], 1, 1)


def test_an_order_with_two_events_belongs_to_the_customer_of_the_earlier():
    """Whichever of them came first."""
    order = next(each for each in EVENTS if each.event_type == "OrderCreated")
    paid = next(each for each in EVENTS if each.payload.get("order_id") == order.payload["order_id"] and each != order)
    other = replace(
        order, event_id=str(uuid4()), timestamp=paid.timestamp, payload={**order.payload, "user_id": "USR-9"}
    )
    assert of([order, other, paid]) == of([other, paid, order])
    lines, _ = of([other, paid, order])
    assert {line.customer: line.payments for line in lines} == {order.payload["user_id"]: 1, "USR-9": 0}


def test_sums_are_exact():
    """Amounts of eighteen digits before the point and after it; ten times 0.1."""

    def order(amount):
        payload = {"order_id": str(uuid4()), "user_id": "USR-1", "amount": Decimal(amount)}
        return Event("OrderCreated", 1, str(uuid4()), EVENTS[0].timestamp, payload)

    (line,), _ = of([order("999999999999999999"), order("0.000000000000000001")])
    assert line.ordered == Decimal("999999999999999999.000000000000000001")
    (line,), _ = of([order("0.1") for _ in range(10)])
    assert line.ordered == 1


def test_the_hash_sees_every_difference():
    """One event less, or one cent more."""
    _, digest = of(EVENTS)
    dearer = replace(EVENTS[0], payload={**EVENTS[0].payload, "amount": EVENTS[0].payload["amount"] + Decimal("0.01")})
    assert len({digest, of(EVENTS[:-2])[1], of([dearer, *EVENTS[1:]])[1], of([])[1]}) == 4


def test_add_says_whether_it_is_new_and_the_caller_commits(tmp_path):
    """What was not committed is not there after a crash; what was is."""
    with closing(report.database(tmp_path / "r.db")) as database:
        assert report.add(database, EVENTS[0])
        database.commit()
        assert not report.add(database, EVENTS[0])
        assert not report.add(database, next(each for each in EVENTS if each.event_type == "ReportGenerated"))
        assert report.add(database, EVENTS[1])
    with closing(report.database(tmp_path / "r.db")) as database:
        assert database.execute("SELECT event_id FROM facts").fetchall() == [(EVENTS[0].event_id,)]
        assert list(report.table(database).columns) == ["orders", "ordered", "payments", "paid", "bids"]


def test_a_file_that_is_something_else_is_an_error(tmp_path):
    """SQLite's own."""
    (tmp_path / "r.db").write_text("no database at all" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        report.database(tmp_path / "r.db")
