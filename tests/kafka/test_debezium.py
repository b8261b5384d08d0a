"""Debezium, where it can be fetched: rows of an outbox become records, in the order of their commits."""

import json
import os
import re

import pytest

from labsupport import lesson
from labsupport.course import session
from labsupport.experiments.breaking import debezium, postgres
from labsupport.settings import CHECKOUT
from labsupport.waiting import until

INSERT = "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('orders', %s, 'OrderCreated', %s)"


@pytest.fixture
def on_a_shared_machine(own_home, elsewhere, monkeypatch):
    """A home whose Kafka wants a password: a broker keeps that as long as it runs, so no other test has it."""
    monkeypatch.setenv("LAB_PASSWORD", "on")
    yield
    session.close()


@pytest.fixture
def lab(own_home):
    """A lesson of no notebook, if both are in the cache."""
    lab = lesson("97")
    there = postgres.fetched(lab.settings) and debezium.fetched(lab.settings)
    if not there and not os.environ.get("CI"):
        pytest.skip("not in the cache: lab.postgres() and lab.debezium(…) in a notebook fetch them (18 and 16 MB)")
    return lab


def test_what_is_inserted_into_the_outbox_is_published(on_a_shared_machine, lab):
    """Though the rows are deleted at once; what was rolled back is not; keys and headers say what is needed."""
    orders = lab.topic("orders")
    with lab.postgres() as database, lab.debezium(database) as process:
        a, b = database.connect(), database.connect()
        a.execute(INSERT, ("ORD-1", '{"amount": 1}'))
        b.execute(INSERT, ("ORD-2", '{"amount": 2}'))
        b.execute("DELETE FROM outbox WHERE aggregateid = 'ORD-2'")
        b.commit()
        a.commit()
        a.execute(INSERT, ("ORD-3", "{}"))
        a.rollback()
        a.execute(INSERT, ("ORD-4", "{}"))
        a.commit()
        until(lambda: len(lab.log(orders).records) >= 3, 300, "Debezium to publish three events")
        records = lab.log(orders).records
    assert [each.key for each in records] == [b"ORD-2", b"ORD-1", b"ORD-4"]
    assert [dict(each.headers)["event_type"] for each in records] == [b"OrderCreated"] * 3
    assert len({dict(each.headers)["id"] for each in records}) == 3
    assert not process.alive


def test_what_lesson_17_says_to_type_works(lab, capsys):
    """The code in its extras, as a learner types it."""
    cells = json.loads((CHECKOUT / "notebooks" / "17_transactions_and_outbox.ipynb").read_text(encoding="utf-8"))[
        "cells"
    ]
    typed = re.findall(r"```python\n(.+?)```", "\n".join("".join(cell["source"]) for cell in cells), re.DOTALL)
    for each in typed:
        exec(each, {"lab": lab})
    printed = capsys.readouterr().out
    assert len(typed) == 2
    assert re.search(r"id > last +B +– +A\n", printed)
    assert re.search(r"for update skip locked +1, 2, 3 +4, 5, 6\n", printed)
    assert re.search(r"0 +0 +ORD-1 +{}\n +1 +ORD-2 +{}\n +2 +ORD-3 +{}\n", printed)
