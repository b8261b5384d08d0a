"""The services of lessons 07 to 09: what a lesson's loop or handler meets, and how a start ends."""

import sqlite3
import sys
import threading
from types import SimpleNamespace

import cloudpickle
import pytest

from labsupport import lesson, publish, reading, story
from labsupport.delivery.moments import Kind, Moment
from labsupport.errors import LabError
from labsupport.experiments.breaking import services, strategies

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # as a notebook's


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("90")


@pytest.fixture
def topic(lab):
    """Three events, the second of which is none."""
    topic = lab.topic("served")
    services.publish_with_poison(lab, topic, story.events(2), at=1, poison=b"not an event")
    return topic


def stops(consumer, handle):
    """Handle, then commit."""
    for record in reading.to_the_end(consumer):
        handle(record)
        consumer.commit(reading.after(record))


def test_an_error_of_the_service_ends_a_start_and_is_printed(lab, topic, capsys):
    """Each start meets the poison; what is committed stays. Only a service that is not fresh continues."""
    sheet = lab.run_loop(topic, stops, starts=2)
    assert capsys.readouterr().out.splitlines() == ["stops ended with EventError"] * 2
    assert (sheet.count("processed"), sheet.count("waiting"), sheet.count("twice")) == (1, 2, 0)
    assert lab.run_loop(topic, stops, lambda _: None, fresh=False).count("lost") == 2
    assert lab.run_loop(topic, stops).count("waiting") == 2


def test_an_error_of_the_loop_itself_comes_out(lab, topic):
    """A mistake in a cell is not an outcome of the experiment."""

    def misspelt(consumer, handle):
        for record in reading.to_the_end(consumer):
            handle(record, recrod)  # noqa: F821

    with pytest.raises(NameError):
        lab.run_loop(topic, misspelt)


def test_what_is_no_event_is_set_aside_in_the_way_of_the_lesson(lab, topic):
    """The others are committed by the loop."""
    dead = lab.dead_letters(topic)

    def letter_first(consumer, record, send_letter):
        send_letter().get(timeout=300)
        consumer.commit(reading.after(record))

    sheet = lab.run_loop(topic, services.sets_aside(lab, letter_first), dead_letters=dead)
    assert (sheet.count("processed"), sheet.count("dead-lettered")) == (2, 1)


def test_the_error_of_a_record_is_the_one_that_decoding_raises(lab, topic):
    """A record that is an event has none."""
    first, poison, _ = lab.log(topic).records
    assert "not JSON" in str(services.error_of(poison))
    with pytest.raises(LabError, match="is an event"):
        services.error_of(first)


def test_during_an_outage_the_real_database_is_locked_until_the_service_pauses(lab):
    """A failed statement is among the moments, with its error; at the end of the run nothing is locked."""
    topic = lab.topic("served")
    publish.publish(lab.producer(name="shop"), topic, story.events(2))
    outage, seen = services.Outage(), []

    def stubborn(consumer, handle):
        for record in reading.to_the_end(consumer):
            try:
                handle(record)
            except sqlite3.OperationalError as error:
                seen.append(str(error))
                outage.hook(Moment.of(Kind.PAUSED, "A", record))
                handle(record)

    assert lab.run_loop(topic, stubborn, outage=outage).count("processed") == 2
    assert seen == ["database is locked"]
    statements = [moment.error for moment in outage.moments if moment.kind is Kind.STATEMENT]
    assert statements == ["OperationalError", "", ""]


def between(event, database, at):
    """Die after the effect."""
    strategies.effect(event, database)
    at("between")


def test_a_service_that_is_killed_is_started_again(lab):
    """A loop or a handler of the lesson's; records that both processes got are redelivered."""
    topic = lab.topic("served")
    publish.publish(lab.producer(name="shop"), topic, story.events(4))

    def commits_first(consumer, handle, at):
        for record in reading.to_the_end(consumer):
            consumer.commit(reading.after(record))
            at("between")
            handle(record)

    crash = {"kill_at": "between", "nth": 3}
    assert lab.run_twice(topic, handle=between, **crash) == {"lost": 0, "twice": 1, "redelivered": 1}
    assert lab.run_twice(topic, loop=commits_first, **crash) == {"lost": 1, "twice": 0, "redelivered": 0}


@pytest.mark.parametrize(
    ("order", "meanwhile"),
    [
        ([(0, 0), (0, 0), (1, 0), (1, 1)], 0),
        ([(0, 0), (1, 0), (0, 0), (1, 1)], 1),
        ([(0, 0), (1, 0), (1, 1), (0, 0)], 2),
    ],
)
def test_what_was_handled_while_the_first_record_failed(order, meanwhile):
    """By partition and offset: the first record fails once, the others do not."""
    busy = services.Busy(failures=1)
    records = [
        SimpleNamespace(topic="t", partition=p, offset=o, key=None, value=b"", headers=[], timestamp=0)
        for p, o in order
    ]
    assert [services.succeeds(busy, record) for record in records] == [False, True, True, True]
    assert busy.meanwhile == meanwhile


def test_a_worker_runs_beside_the_cell_until_the_with_ends(lab, topic):
    """It waits for an answer that does not come, with the records before it committed; then it leaves the group."""
    silence, group = services.Silence(), lab.group("beside")

    def asks(record):
        if record.offset == 1:
            silence.wait()

    for _ in range(2):  # as a cell that runs again
        with services.running(lab, topic, group, asks, silence=silence):
            assert silence.asked.wait(timeout=300)
            assert lab.lag(topic, group).total == 2
            assert lab.describe(group).owners == {"A": [0]}
        assert lab.lag(topic, group).total == 1  # it finished the record in hand
        assert not lab.describe(group).members


def test_what_ended_the_worker_comes_out(lab, topic):
    """Not only in the thread, where nobody sees it."""
    failed = threading.Event()

    def fails(_record):
        failed.set()
        raise KeyError("amount")

    with pytest.raises(KeyError), services.running(lab, topic, lab.group("fails"), fails):
        assert failed.wait(timeout=300)
