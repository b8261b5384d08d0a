"""The pure parts of selecting records, resolving offset ranges, marking copies and resetting groups."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.consumer.fetcher import ConsumerRecord

from labsupport import replay
from labsupport.delivery import record_time
from labsupport.errors import LabError
from labsupport.history import offset_range, reset, selection
from labsupport.history.offset_range import OffsetRange
from labsupport.history.replay import Selection
from labsupport.history.replay_report import ReplayReport
from labsupport.history.reset import Where
from labsupport.transactions import Bounds

NOON = datetime(2026, 4, 16, 12, tzinfo=UTC)


def record(offset=0, key=b"ORD-1", value=b"{}", headers=(), timestamp=0, partition=0, topic="t"):
    """A record as the client returns it."""
    return ConsumerRecord(
        topic,
        partition,
        0,
        offset,
        timestamp,
        0,
        key,
        value,
        list(headers),
        None,
        len(key or b""),
        len(value or b""),
        0,
    )


# Where something lies


@given(st.integers(0, 50), st.integers(0, 50), st.integers(-100, 200))
def test_an_offset_is_brought_into_the_log_and_it_is_said(begin, length, offset):
    """What lies inside stays; what lies outside becomes the nearest end, with a note."""
    found, note = offset_range.inside(offset, begin, begin + length)
    assert begin <= found <= begin + length
    assert (found == offset) == (note == "")
    if offset < begin:
        assert found == begin
    if offset > begin + length:
        assert found == begin + length


@pytest.mark.parametrize(("found", "first", "offset", "said"), [
    (7, 4, 7, ""),
    (4, 4, 4, "no record is older"),
    (None, 4, 9, "every record is older"),
    (None, None, 9, "empty"),
])  # fmt: skip
def test_a_time_outside_the_log_is_said(found, first, offset, said):
    """Before its first record, after its last one, or in an empty log."""
    at, note = offset_range.since(found, first, 9)
    assert at == offset
    assert said in note
    assert bool(said) == bool(note)


def test_a_moment_without_a_zone_is_refused_and_others_are_rounded_up():
    """Up, because "not older than" is meant; the zone does not matter once there is one."""
    for naive in (datetime(2026, 4, 16), "2026-04-16", None):  # noqa: DTZ001 - that is the point
        with pytest.raises(LabError, match="since is") as caught:
            record_time.milliseconds(naive, "since")
        assert "time zone" in caught.value.seen
    assert record_time.milliseconds(datetime(1970, 1, 1, tzinfo=UTC), "x") == 0
    assert record_time.milliseconds(datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC), "x") == 1
    assert record_time.milliseconds(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), "x") == -1_000
    berlin = NOON.astimezone(timezone(timedelta(hours=2)))
    assert record_time.milliseconds(berlin, "x") == record_time.milliseconds(NOON, "x")


OFFSETS = st.none() | st.integers(0, 60)


@given(st.integers(0, 20), st.integers(0, 20), OFFSETS, OFFSETS)
def test_a_stretch_lies_in_the_log(begin, length, start, stop):
    """Whatever was asked for; and what was asked for and is there belongs to it."""
    end = begin + length
    if None not in (start, stop) and start >= stop:
        with pytest.raises(LabError, match="start is"):
            Selection("t", start=start, stop=stop)
        return
    found = selection.offset_range(Selection("t", start=start, stop=stop), 0, Bounds(begin, end, end), None, None)
    assert begin <= found.start <= found.stop <= end
    wanted = [o for o in range(begin, end) if (start is None or o >= start) and (stop is None or o < stop)]
    assert list(range(found.start, found.stop)) == wanted
    outside = [o for o in (start, stop) if o is not None and not begin <= o <= end]
    assert len(found.notes) == len(outside)


def test_a_time_and_an_offset_both_hold():
    """The later of the two is where it begins."""
    both = Selection("t", start=3, since=NOON)
    assert selection.offset_range(both, 0, Bounds(0, 10, 10), 5, 0).start == 5
    assert selection.offset_range(both, 0, Bounds(0, 10, 10), 1, 0).start == 3
    assert selection.offset_range(both, 0, Bounds(0, 10, 10), None, 0).empty


# Choosing


@pytest.mark.parametrize(("asked", "said"), [
    ({"since": datetime(2026, 4, 16)}, "since is"),  # noqa: DTZ001
    ({"before": datetime(2026, 4, 16)}, "before is"),  # noqa: DTZ001
    ({"since": NOON, "before": NOON}, "since is"),
    ({"start": -1}, "start is -1"),
    ({"stop": 1.5}, "stop is 1.5"),
    ({"start": 4, "stop": 4}, "start is 4, stop is 4"),
    ({"keys": []}, "keys is empty"),
    ({"types": ()}, "types is empty"),
    ({"partitions": []}, "partitions is empty"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(asked, said):
    """With a sentence, before anything is read."""
    with pytest.raises(LabError, match=said):
        Selection("t", **asked)


def test_what_a_record_does_not_fit_is_told():
    """The first of time, key, type, where; nothing if it fits all."""
    at = record_time.milliseconds(NOON, "x")
    chosen = Selection(
        "t", since=NOON, before=NOON + timedelta(seconds=1), keys=["ORD-1"], types="OrderCreated",
        where=lambda record: record.offset % 2 == 0,
    ).missed_by()  # fmt: skip
    fits = {"timestamp": at, "headers": [("event_type", b"OrderCreated")]}
    assert chosen(record(**fits)) == ""
    assert chosen(record(**fits | {"timestamp": at - 1})) == "time"
    assert chosen(record(**fits | {"timestamp": at + 1_000})) == "time"
    assert chosen(record(key=None, **fits)) == "key"
    assert chosen(record(timestamp=at)) == "type"
    assert chosen(record(offset=1, **fits)) == "where"
    assert Selection("t").missed_by()(record(key=None, value=None)) == ""


def test_one_key_or_type_need_not_stand_in_a_list():
    """A text is one of them, not its letters; bytes are taken as they are."""
    assert Selection("t", keys="ORD-1").keys == Selection("t", keys=[b"ORD-1"]).keys == {b"ORD-1"}
    assert Selection("t", types="OrderCreated").types == {"OrderCreated"}
    assert Selection("t", partitions=0).partitions == {0}


@pytest.mark.parametrize(("value", "headers", "found"), [
    (b"\xff", [("event_type", b"OrderCreated")], "OrderCreated"),
    (b'{"event_type": "OrderShipped"}', [], "OrderShipped"),
    (b'{"event_type": "OrderShipped"}', [("event_type", None)], "OrderShipped"),
    (b'{"event_type": 7}', [], ""),
    (b"[]", [], ""),
    (b"\xff", [], ""),
    (b"[" * 100_000, [], ""),
    (None, [], ""),
])  # fmt: skip
def test_the_type_of_a_record_is_told_whatever_it_holds(value, headers, found):
    """From the header, else from the value; a type that no program knows too."""
    assert selection.type_of(record(value=value, headers=headers)) == found


# The mark


def test_the_mark_says_which_replay_and_where_it_lay_first():
    """Key, value, time and the other headers stay; a second replay renames the first and keeps the origin."""
    original = record(offset=7, headers=[("event_id", b"x"), ("trace", None)])
    assert replay.replayed(original) is None
    once = replay.marked(original, "july")
    assert replay.replayed(once) == "july"
    assert once.headers == [*original.headers, ("replay_id", b"july"), ("replay_origin", b"t/0/7")]
    assert once._replace(headers=original.headers) == original
    assert original.headers == [("event_id", b"x"), ("trace", None)]
    twice = replay.marked(once._replace(topic="u", offset=0), "august")
    assert twice.headers == [*original.headers, ("replay_id", b"august"), ("replay_origin", b"t/0/7")]
    copied = replay.copy(original, "u", "july")
    assert (copied.topic, copied.key, copied.value, copied.timestamp) == ("u", b"ORD-1", b"{}", 0)


# The report


def test_the_account_says_what_there_is_to_say():
    """Lines for what was left out, skipped, expired or not reached; none for what did not happen."""
    quiet = ReplayReport("t", "r", (OffsetRange(0, 0, 3, 0, 3),), read=3, chosen=3, done=3, reached={0: 3})
    assert str(quiet) == "t: 3 records read (read_committed), 3 chosen, 3 handled"
    assert quiet.complete
    loud = ReplayReport(
        "t", "r", (OffsetRange(0, 4, 9, 4, 9, ("a note",)),), "sent", read=4, chosen=3, done=1, unanswered=1,
        left_out={"key": 1}, skipped={"undecodable": 1}, examples=("t/0/5: not JSON",), expired={0: 2}, reached={0: 8},
    )  # fmt: skip
    assert str(loud).splitlines() == [
        "t: 4 records read (read_committed), 3 chosen, 1 sent",
        "  1 left out by key",
        "  1 skipped: undecodable",
        "    t/0/5: not JSON",
        "  1 sent without an answer: stored or not",
        "  partition 0: a note",
        "  partition 0: 2 offsets were deleted before they were read",
        "  partition 0: came to offset 8 of 4 to 8",
    ]
    assert not loud.complete
    assert loud.table.loc[0].tolist() == [4, 9, 4, 9, 8, 2, "a note"]


# Where a group is set to


@pytest.mark.parametrize(("asked", "said"), [
    ({}, "at one offset"),
    ({"to": "latest", "shift_by": 1}, "at one offset"),
    ({"to": "start"}, "to is 'start'"),
    ({"time": datetime(2026, 4, 16)}, "time is"),  # noqa: DTZ001
    ({"offset": 1.5}, "offset is 1.5"),
    ({"shift_by": "2"}, "shift_by is '2'"),
])  # fmt: skip
def test_a_group_goes_on_at_one_place_that_can_be_meant(asked, said):
    """None, several, or nonsense: refused."""
    with pytest.raises(LabError, match=said):
        Where(**asked)


@pytest.mark.parametrize(("where", "committed", "offset", "said"), [
    (Where(to="earliest"), 7, 4, ""),
    (Where(to="latest"), None, 9, ""),
    (Where(offset=6), None, 6, ""),
    (Where(offset=0), 7, 4, "offset 0 is not there any more: the log begins at 4"),
    (Where(offset=99), 7, 9, "offset 99 is not there yet: the log ends at 9"),
    (Where(offset=-1), 7, 4, "offset -1"),
    (Where(shift_by=-2), 7, 5, ""),
    (Where(shift_by=-100), 7, 4, "offset -93"),
    (Where(shift_by=100), 7, 9, "offset 107"),
    (Where(shift_by=0), 2, 4, "offset 2"),
    (Where(time=NOON), 7, 5, ""),
])  # fmt: skip
def test_where_a_group_is_set_to(where, committed, offset, said):
    """In a log from 4 to 9, in which offset 5 is the first record not older than noon."""
    target = reset.target(where, 0, Bounds(4, 9, 9), committed, found=5, first=4)
    assert target.offset == offset
    assert target.committed == committed
    assert target.note.startswith(said)
    assert bool(said) == bool(target.note)


def test_a_shift_from_nothing_is_refused():
    """There is no offset to count from."""
    with pytest.raises(LabError, match="cannot be shifted"):
        reset.target(Where(shift_by=-1), 0, Bounds(0, 9, 9), None, None, None)


@given(st.lists(st.integers(-200, 200), min_size=2, max_size=5))
def test_a_later_offset_is_never_set_to_an_earlier_place(offsets):
    """Clamping keeps the order."""
    targets = [
        reset.target(Where(offset=each), 0, Bounds(10, 90, 90), None, None, None).offset for each in sorted(offsets)
    ]
    assert all(first <= second for first, second in pairwise(targets))
