"""The inbox: id and effect in one transaction, or neither."""

import contextlib
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from datetime import timedelta

import pytest

from labsupport.delivery import inbox, orders
from labsupport.errors import LabError
from labsupport.shop import story

EVENTS = story.events(3, seed=1)


@pytest.fixture
def database(tmp_path):
    """The shop's database, empty."""
    with closing(orders.database(tmp_path / "shop.db", patience=0.1)) as connection:
        yield connection


def do(database, event):
    return inbox.once(database, event.event_id, lambda: orders.effect(database, event))


def test_an_event_that_comes_twice_has_one_effect(database, tmp_path):
    """The handler learns whether the event was new."""
    assert [do(database, event) for event in (EVENTS[0], EVENTS[1], EVENTS[0])] == [True, True, False]
    assert orders.effects(tmp_path / "shop.db") == Counter(event.event_id for event in EVENTS[:2])


def test_an_effect_that_raises_leaves_neither(database, tmp_path):
    """So a redelivered event is still new."""

    def half():
        orders.effect(database, EVENTS[0])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        inbox.once(database, EVENTS[0].event_id, half)
    assert orders.effects(tmp_path / "shop.db") == {}
    assert do(database, EVENTS[0])


def insert(database, text):
    """A part of an effect."""
    database.execute("INSERT INTO effects VALUES (?, '', '')", (text,))


def with_block(database):
    with database:
        insert(database, "a")
    insert(database, "b")


def swallowing(database):
    insert(database, "a")
    with contextlib.suppress(sqlite3.Error):
        database.commit()
    insert(database, "b")


def undone_by_a_conflict(database):
    insert(database, "a")
    database.execute("CREATE UNIQUE INDEX IF NOT EXISTS once ON effects (event_id)")
    with contextlib.suppress(sqlite3.IntegrityError):
        database.execute("INSERT OR ROLLBACK INTO effects VALUES ('a', '', '')")
    insert(database, "b")


def changes_the_mode(database):
    insert(database, "a")
    database.isolation_level = None
    insert(database, "b")


ENDS = {
    "commits first": lambda db: (db.commit(), insert(db, "a")),
    "commits last": lambda db: (insert(db, "a"), db.commit()),
    "commits in the middle": lambda db: (insert(db, "a"), db.commit(), insert(db, "b")),
    "with, and goes on": with_block,
    "rolls back": lambda db: (insert(db, "a"), db.rollback()),
    "rolls back and goes on": lambda db: (insert(db, "a"), db.rollback(), insert(db, "b")),
    "a script": lambda db: db.executescript("INSERT INTO effects VALUES ('a', '', '')"),
    "a script that begins": lambda db: db.executescript("BEGIN; INSERT INTO effects VALUES ('a', '', ''); COMMIT"),
    "statements": lambda db: (insert(db, "a"), db.execute("COMMIT"), db.execute("BEGIN"), insert(db, "b")),
    "END": lambda db: (insert(db, "a"), db.execute("end transaction"), insert(db, "b")),
    "swallows what was said": swallowing,
    "a conflict rolls back": undone_by_a_conflict,
    "another mode": changes_the_mode,
    "an inbox inside": lambda db: (insert(db, "a"), inbox.once(db, "inner", lambda: insert(db, "b"))),
}


@pytest.mark.parametrize("how", ENDS)
def test_an_effect_that_ends_the_transaction_leaves_nothing(database, tmp_path, how):
    """Neither id nor half an effect, wherever it happens; once fixed, it processes the event."""
    with pytest.raises(LabError, match="ended the transaction"):
        inbox.once(database, EVENTS[0].event_id, lambda: ENDS[how](database))
    database.isolation_level = ""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as other:  # as another process sees it
        assert other.execute("SELECT (SELECT count(*) FROM inbox), (SELECT count(*) FROM effects)").fetchone() == (0, 0)
    assert do(database, EVENTS[0])
    database.commit()  # it is free again


def test_savepoints_are_no_harm(database, tmp_path):
    """A part of an effect can be taken back."""

    def with_savepoint():
        insert(database, "a")
        database.execute("SAVEPOINT part")
        insert(database, "b")
        database.execute("ROLLBACK TO part")
        database.execute("RELEASE part")

    assert inbox.once(database, EVENTS[0].event_id, with_savepoint)
    assert orders.effects(tmp_path / "shop.db") == {"a": 1}


@pytest.mark.parametrize("settings", [{"isolation_level": None}, {"autocommit": True}])
def test_a_connection_that_commits_each_statement_is_refused(database, tmp_path, settings):
    """Before anything is written."""
    if "autocommit" in settings and sys.version_info < (3, 12):
        pytest.skip("Python 3.12 brought it")
    other = sqlite3.connect(tmp_path / "shop.db", **settings)
    with closing(other), pytest.raises(LabError, match="commits each statement by itself"):
        do(other, EVENTS[0])
    assert database.execute("SELECT count(*) FROM inbox").fetchone() == (0,)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.12 brought it")
def test_a_connection_as_the_standard_has_it_is_taken(database, tmp_path):
    """`autocommit=False`: a transaction is always open."""
    with closing(sqlite3.connect(tmp_path / "shop.db", autocommit=False)) as other:
        assert [do(other, EVENTS[0]), do(other, EVENTS[0])] == [True, False]
        with pytest.raises(LabError, match="ended the transaction"):
            inbox.once(other, EVENTS[1].event_id, lambda: with_block(other))
    assert orders.effects(tmp_path / "shop.db") == {EVENTS[0].event_id: 1}


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
