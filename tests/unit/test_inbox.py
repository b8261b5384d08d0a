"""The inbox: id and effect in one transaction, or neither."""

import sqlite3
from collections import Counter
from contextlib import closing
from datetime import timedelta

import pytest

from labsupport.base import LabError
from labsupport.events import inbox, orders, shop

EVENTS = shop.events(3, seed=1)


@pytest.fixture
def database(tmp_path):
    """The shop's database, empty."""
    with closing(orders.database(tmp_path / "shop.db", patience=0.1)) as connection:
        yield connection


def do(database, event):
    return inbox.once(database, event.event_id, lambda: orders.effect(database, event))


def test_an_event_that_comes_twice_has_one_effect(database, tmp_path):
    """And whoever handles it learns whether it was new."""
    assert [do(database, event) for event in (EVENTS[0], EVENTS[1], EVENTS[0])] == [True, True, False]
    assert orders.effects(tmp_path / "shop.db") == Counter(event.event_id for event in EVENTS[:2])


def test_an_effect_that_raises_leaves_neither(database, tmp_path):
    """So the event is new when it comes again."""

    def half():
        orders.effect(database, EVENTS[0])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        inbox.once(database, EVENTS[0].event_id, half)
    assert orders.effects(tmp_path / "shop.db") == {}
    assert do(database, EVENTS[0])


@pytest.mark.parametrize("ends", [sqlite3.Connection.commit, sqlite3.Connection.rollback])
def test_an_effect_that_ends_the_transaction_is_told(database, ends):
    """It would take the effect apart from the id."""
    with pytest.raises(LabError, match="ended the transaction"):
        inbox.once(database, EVENTS[0].event_id, lambda: (orders.effect(database, EVENTS[0]), ends(database)))


def test_a_locked_database_raises_and_nothing_is_half_done(database, tmp_path):
    """When it is free again the event is processed once."""
    with closing(orders.database(tmp_path / "shop.db", patience=0.1)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            do(database, EVENTS[0])
        other.rollback()
    assert do(database, EVENTS[0])
    assert orders.effects(tmp_path / "shop.db")[EVENTS[0].event_id] == 1


def test_a_full_database_raises_and_nothing_is_half_done(database, tmp_path):
    """The effect does not fit any more, so the id is not there either."""
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")

    def large():
        orders.effect(database, EVENTS[0])
        database.execute("INSERT INTO effects VALUES (?, '', ?)", (EVENTS[0].event_id, "x" * 100_000))

    with pytest.raises(sqlite3.OperationalError, match="full"):
        inbox.once(database, EVENTS[0].event_id, large)
    assert database.execute("SELECT count(*) FROM inbox").fetchone() == (0,)
    assert orders.effects(tmp_path / "shop.db") == {}


def test_what_is_forgotten_is_processed_again(database, tmp_path):
    """The price of an inbox that does not grow for ever."""
    for event in EVENTS:
        do(database, event)
    assert inbox.forget(database, timedelta(days=1)) == 0
    database.execute("UPDATE inbox SET remembered = remembered - 90000 WHERE event_id = ?", (EVENTS[0].event_id,))
    database.commit()
    assert inbox.forget(database, timedelta(days=1)) == 1
    assert [do(database, event) for event in EVENTS] == [True, False, False]
