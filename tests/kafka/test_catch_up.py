"""A group catches up: it handles what it has not committed, and what fails becomes a dead letter."""

import pytest

from labsupport import lesson, publish, redrive, story

EVENTS = story.events(6)  # three of them bids


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("97")


@pytest.fixture
def topic(lab):
    """A topic with EVENTS, in two partitions."""
    lab.clear()
    topic = lab.topic("orders", partitions=2)
    publish.publish(lab.producer(name="shop"), topic, EVENTS)
    return topic


def fails_at_bids(event):
    """As a service that knows only orders."""
    return event.payload["order_id"]


def test_it_goes_on_where_its_group_stopped(lab, topic):
    """All events once; afterwards those that came since; another group gets them all."""
    seen = []
    assert lab.catch_up(topic, "a", seen.append) == 6
    assert sorted(event.event_id for event in seen) == sorted(event.event_id for event in EVENTS)
    publish.publish(lab.producer(name="shop"), topic, story.events(2, seed=9))
    assert lab.catch_up(topic, "a", seen.append) == 2
    assert lab.catch_up(topic, "b", seen.append) == 8
    assert lab.lag(topic, lab.group("a")).total == 0


def test_what_fails_becomes_a_dead_letter_of_the_group(lab, topic):
    """And counts as not handled."""
    dead = lab.dead_letters(topic)
    assert lab.catch_up(topic, "a", fails_at_bids) == 3
    found = redrive.letters(lab.consumer(name="redrive"), redrive.selection(dead)).found
    assert [(each.letter.group, each.letter.attempts) for each in found] == [(lab.group("a"), 1)] * 3
    assert lab.lag(topic, lab.group("a")).total == 0


def test_without_a_dead_letter_topic_the_error_comes_out(lab, topic):
    """And its record is not committed; the client's name is free again."""
    with pytest.raises(KeyError, match="order_id"):
        lab.catch_up(topic, "a", fails_at_bids)
    assert lab.lag(topic, lab.group("a")).total >= 3
    assert lab.catch_up(topic, "a", lambda event: None) >= 3


def test_what_was_redriven_for_another_group_is_skipped(lab, topic):
    """It counts as not handled, and is committed."""
    dead = lab.dead_letters(topic)
    lab.catch_up(topic, "a", fails_at_bids)
    lab.catch_up(topic, "b", lambda event: None)
    redrive.redrive(lab.consumer(name="r"), lab.producer(name="shop"), redrive.selection(dead), addressed=True)
    assert lab.catch_up(topic, "b", lambda event: None) == 0
    assert lab.catch_up(topic, "a", lambda event: None) == 3
    assert lab.lag(topic, lab.group("b")).total == 0
