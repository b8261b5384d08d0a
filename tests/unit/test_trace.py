"""The trace of chosen events, and its picture: retries, a dead letter, a redrive. Pure."""

from dataclasses import replace

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.delivery.moments import Moment
from labsupport.experiments.watching import plots, trace

P0 = TopicPartition("09-orders", 0)


def record(offset, event_id, partition=0, origin=""):
    """A record of the topic; redriven if it has an origin."""
    headers = [("event_id", event_id.encode())] + ([("redrive_origin", origin.encode())] if origin else [])
    return ConsumerRecord("09-orders", partition, 0, offset, 0, 0, b"k", b"v", headers, None, 1, 1, 1)


def moments_of(*steps, member="A", partition=P0):
    """Moments from steps: (kind, offset, event id), or (kind, offset) for a commit."""
    return [
        Moment(step[0], float(number), member, (partition,), step[1], event_id=step[2] if len(step) > 2 else "")
        for number, step in enumerate(steps)
    ]


RECORDS = [record(0, "a"), record(1, "b"), record(2, "c"), record(3, "b", origin="09-orders/0/1")]
MOMENTS = moments_of(
    ("assigned", None),
    ("handling", 0, "a"), ("handled", 0, "a"), ("handling", 1, "b"), ("failed", 1, "b"), ("retrying", 1, "b"),
    ("committing", 1), ("committed", 1),
    ("handling", 1, "b"), ("failed", 1, "b"), ("dead-lettered", 1, "b"), ("handling", 2, "c"), ("handled", 2, "c"),
    ("committing", 3), ("committed", 3),
    ("handling", 3, "b"), ("handled", 3, "b"), ("committing", 4), ("committed", 4),
)  # fmt: skip


def test_the_trace_of_one_event():
    """Sent, tried twice, dead-lettered, committed, redriven, processed; nothing of other events."""
    traced = trace.of_events(RECORDS, MOMENTS, "b")
    assert [(moment.kind, moment.offset) for moment in traced] == [
        ("sent", 1),
        ("handling", 1), ("failed", 1), ("retrying", 1),
        ("handling", 1), ("failed", 1), ("dead-lettered", 1), ("committing", 3), ("committed", 3),
        ("redriven", 3), ("handling", 3), ("handled", 3), ("committing", 4), ("committed", 4),
    ]  # fmt: skip


def test_the_trace_of_all_events():
    """Without ids it has every moment of a record, and every commit of one."""
    traced = trace.of_events(RECORDS, MOMENTS)
    assert len([moment for moment in traced if moment.kind == "sent"]) == 3
    assert [moment for moment in traced if moment.kind not in ("sent", "redriven")] == MOMENTS[1:]


def test_a_redriven_record_that_no_worker_has_read_comes_last():
    """A crash belongs to every trace."""
    moments = [*MOMENTS[:4], *moments_of(("crashed", None))]
    assert [moment.kind for moment in trace.of_events(RECORDS, moments, "b")] == [
        "sent",
        "handling",
        "crashed",
        "redriven",
    ]


def test_the_picture_is_described_in_words():
    """It has a lane for dead letters, and a redriven event keeps its number."""
    ax = plots.spacetime(trace.of_events(RECORDS, MOMENTS, "b"))
    lanes = [label.get_text() for label in ax.get_yticklabels()]
    assert lanes == ["producer", "broker", "consumer A", "dead letters"]
    assert repr(ax.figure) == (
        "Picture: space-time diagram. producer: send 2; consumer A: event 2; failed; retry; event 2; failed; "
        "dead letter 2; commit 3; dead letters: redrive 2; consumer A: event 2; handled; commit 4."
    )


def test_without_dead_letters_they_have_no_lane():
    """As in lesson 07."""
    ax = plots.spacetime(trace.of_events(RECORDS, MOMENTS, "a"))
    assert "dead letters" not in [label.get_text() for label in ax.get_yticklabels()]


def test_events_of_several_partitions_are_numbered_in_order():
    """Otherwise two at the same offset would have the same number."""
    other = TopicPartition("09-orders", 1)
    moments = [*moments_of(("handling", 0, "a")), *moments_of(("handling", 0, "d"), partition=other)]
    ax = plots.spacetime(trace.of_events([record(0, "a"), record(0, "d", partition=1)], moments))
    assert "consumer A: event 1; event 2." in repr(ax.figure)


def test_a_statement_that_failed_is_crossed_and_stands_for_the_failure():
    """It reaches the database's lane; a failure without a statement keeps its mark."""
    failed = replace(moments_of(("statement", 0, "a"))[0], name="INSERT", error="OperationalError")
    done = replace(failed, error="")
    story = [*moments_of(("handling", 0, "a")), failed, *moments_of(("failed", 0, "a"), ("retrying", 0, "a")), done]
    ax = plots.spacetime(trace.of_events(RECORDS, story, "a"))
    assert "INSERT failed; retry; INSERT." in repr(ax.figure)
    lanes = {label.get_text(): at for label, at in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}
    crosses = [line.get_ydata()[0] for line in ax.lines if line.get_marker() == "x"]
    assert crosses == [lanes["database"]]
    assert "failed" in repr(plots.spacetime([*moments_of(("failed", 0, "a")), done]).figure)
