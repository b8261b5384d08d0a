"""The road of chosen events, and its picture: retries, a dead letter, a redrive. Pure."""

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.delivery.moments import Moment
from labsupport.experiments.watching import plots, trace

P0 = TopicPartition("09-orders", 0)


def record(offset, event_id, partition=0, origin=""):
    """A record of the topic; redriven, if it has an origin."""
    headers = [("event_id", event_id.encode())] + ([("redrive_origin", origin.encode())] if origin else [])
    return ConsumerRecord("09-orders", partition, 0, offset, 0, 0, b"k", b"v", headers, None, 1, 1, 1)


def told(*steps, who="A", place=P0):
    """Moments: (what, offset, event id), or (what, offset) of a commit."""
    return [
        Moment(step[0], float(number), who, (place,), step[1], event_id=step[2] if len(step) > 2 else "")
        for number, step in enumerate(steps)
    ]


RECORDS = [record(0, "a"), record(1, "b"), record(2, "c"), record(3, "b", origin="09-orders/0/1")]
MOMENTS = told(
    ("assigned", None),
    ("handling", 0, "a"), ("handled", 0, "a"), ("handling", 1, "b"), ("failed", 1, "b"), ("retrying", 1, "b"),
    ("committing", 1), ("committed", 1),
    ("handling", 1, "b"), ("failed", 1, "b"), ("dead-lettered", 1, "b"), ("handling", 2, "c"), ("handled", 2, "c"),
    ("committing", 3), ("committed", 3),
    ("handling", 3, "b"), ("handled", 3, "b"), ("committing", 4), ("committed", 4),
)  # fmt: skip


def test_the_road_of_one_event():
    """Sent, tried twice, dead-lettered, committed, sent back, processed; nothing of the others."""
    story = trace.of_events(RECORDS, MOMENTS, "b")
    assert [(moment.kind, moment.offset) for moment in story] == [
        ("sent", 1),
        ("handling", 1), ("failed", 1), ("retrying", 1),
        ("handling", 1), ("failed", 1), ("dead-lettered", 1), ("committing", 3), ("committed", 3),
        ("redriven", 3), ("handling", 3), ("handled", 3), ("committing", 4), ("committed", 4),
    ]  # fmt: skip


def test_the_road_of_all_events():
    """Without ids everything that is about a record, and every commit of one."""
    story = trace.of_events(RECORDS, MOMENTS)
    assert len([moment for moment in story if moment.kind == "sent"]) == 3
    assert [moment for moment in story if moment.kind not in ("sent", "redriven")] == MOMENTS[1:]


def test_what_was_redriven_and_not_read_yet_comes_last():
    """And a crash belongs to every road."""
    moments = [*MOMENTS[:4], *told(("crashed", None))]
    assert [moment.kind for moment in trace.of_events(RECORDS, moments, "b")] == [
        "sent",
        "handling",
        "crashed",
        "redriven",
    ]


def test_the_picture_says_the_same_in_words():
    """A lane for the dead letters; after the redrive the event has the number that it had."""
    ax = plots.spacetime(trace.of_events(RECORDS, MOMENTS, "b"))
    lanes = [label.get_text() for label in ax.get_yticklabels()]
    assert lanes == ["producer", "broker", "consumer A", "dead letters"]
    assert repr(ax.figure) == (
        "Picture: space-time diagram. producer: send 2; consumer A: event 2; failed; retry; event 2; failed; "
        "dead letter 2; commit 3; dead letters: redrive 2; consumer A: event 2; handled; commit 4."
    )


def test_without_dead_letters_there_is_no_lane_for_them():
    """The picture of lesson 07 stays as it was."""
    ax = plots.spacetime(trace.of_events(RECORDS, MOMENTS, "a"))
    assert "dead letters" not in [label.get_text() for label in ax.get_yticklabels()]


def test_events_of_several_partitions_are_numbered_as_they_come():
    """Two that lie at the same offset would have the same number."""
    other = TopicPartition("09-orders", 1)
    moments = [*told(("handling", 0, "a")), *told(("handling", 0, "d"), place=other)]
    ax = plots.spacetime(trace.of_events([record(0, "a"), record(0, "d", partition=1)], moments))
    assert "consumer A: event 1; event 2." in repr(ax.figure)
