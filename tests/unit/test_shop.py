"""The story: the same for everybody, and consistent in itself."""

import pytest

from labsupport.errors import LabError
from labsupport.shop import story
from labsupport.shop.event import Event


def test_the_same_seed_tells_the_same_story():
    """Every time, for any number of events; another seed gives another story."""
    assert story.events(200) == story.events(200)
    assert story.events(200)[:50] == story.events(50)
    assert story.events(50, seed=1) != story.events(50, seed=2)
    assert story.events(0) == []


def test_lab_seed_chooses_the_story(monkeypatch):
    """LAB_SEED, or a sentence if it is not a number."""
    monkeypatch.setenv("LAB_SEED", "7")
    assert story.events(10) == story.events(10, seed=7)
    monkeypatch.setenv("LAB_SEED", "seven")
    with pytest.raises(LabError, match="LAB_SEED is 'seven'"):
        story.events(1)


@pytest.mark.parametrize("seed", range(5))
def test_the_story_is_consistent(seed):
    """Ids are unique, time goes on, an order is paid once, after it was created, and in full."""
    events = story.events(300, seed)
    assert len({event.event_id for event in events}) == len(events)
    assert [event.timestamp for event in events] == sorted(event.timestamp for event in events)
    amounts, paid = {}, set()
    for event in events:
        if event.event_type == "OrderCreated":
            amounts[event.payload["order_id"]] = event.payload["amount"]
        if event.event_type == "PaymentProcessed":
            order = event.payload["order_id"]
            assert event.payload["amount"] == amounts[order]
            assert order not in paid
            paid.add(order)
    assert len(amounts) - len(paid) <= 4
    assert {event.event_type for event in events} == {
        "OrderCreated", "PaymentProcessed", "BidSubmitted", "ReportGenerated",
    }  # fmt: skip
    assert all(Event.decode(event.encode()) == event for event in events)


def test_the_key_is_what_the_event_is_about():
    """An order's events share one, an auction's bids do."""
    for event in story.events(60):
        key = story.key_of(event).decode()
        assert key in event.payload.values()
        assert key.split("-")[0] in ("ORD", "AUC", "REP")
