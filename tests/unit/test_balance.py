"""The balance sheet: one outcome for each event, and the outcomes add up. Pure."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from labsupport.experiments.watching import balance
from labsupport.experiments.watching.balance import OUTCOMES


def record(offset, event_id=None, key=b"ORD-1", partition=0):
    """A record of a topic, with or without an event id in its header."""
    headers = [("event_id", event_id.encode())] if event_id else []
    return SimpleNamespace(
        topic="t", partition=partition, offset=offset, key=key, value=b"no event", headers=headers
    )  # fmt: skip


def test_each_event_has_one_outcome():
    """Processed, waiting or lost, from the committed offset and the effects; twice is counted besides."""
    records = [record(0, "a"), record(1, "b"), record(2, "c"), record(3, "d", key=b"ORD-2")]
    sheet = balance.compute(records, {0: 3}, {"a": 1, "b": 2})
    assert {entry.event_id: entry.outcome for entry in sheet.entries} == {
        "a": "processed", "b": "processed", "c": "lost", "d": "waiting",
    }  # fmt: skip
    assert sheet.ids("twice") == ("b",)
    assert str(sheet) == (
        "4 produced = 2 processed + 0 dead-lettered + 1 waiting + 0 unknown + 1 lost; 1 processed twice."
    )
    assert sheet.table.loc["ORD-2"].waiting == 1
    assert sheet.table.loc["all"].produced == 4


def test_an_event_with_an_effect_is_processed_even_if_a_dead_letter_of_it_exists():
    """It was redriven. Without an effect it is dead-lettered, although the group has committed it."""
    sheet = balance.compute([record(0, "a"), record(1, "b")], {0: 2}, {"a": 1}, dead={"a", "b"})
    assert sheet.ids("processed") == ("a",)
    assert sheet.ids("dead-lettered") == ("b",)


def test_an_event_in_two_records_is_one_event():
    """If one of them is still ahead of the group, it waits."""
    sheet = balance.compute([record(0, "a"), record(1, "a")], {0: 1}, {})
    assert [(entry.event_id, entry.outcome) for entry in sheet.entries] == [("a", "waiting")]


def test_an_event_without_an_id_is_known_by_its_coordinates():
    """Topic, partition and offset."""
    sheet = balance.compute([record(7)], {}, {"t-0-7": 1})
    assert sheet.ids("processed") == ("t-0-7",)


def test_an_unacknowledged_event_is_unknown_unless_the_topic_holds_it():
    """A send that timed out is neither lost nor produced until it is found."""
    sheet = balance.compute([record(0, "a")], {}, {}, unknown=["a", "b"])
    assert sheet.ids("waiting") == ("a",)
    assert sheet.ids("unknown") == ("b",)


def test_an_effect_without_an_event_is_an_orphan():
    """It is the wrong database, or the handler invents ids."""
    sheet = balance.compute([record(0, "a")], {}, {"x": 1})
    assert sheet.orphans == ("x",)
    assert "1 effects belong to no event" in str(sheet)


IDS = st.sampled_from("abcdef")


@given(
    st.lists(st.tuples(IDS, st.integers(0, 1)), max_size=12),
    st.dictionaries(st.integers(0, 1), st.integers(0, 12)),
    st.dictionaries(IDS, st.integers(1, 3)),
    st.sets(IDS),
    st.lists(IDS, max_size=3),
)
def test_the_sheet_always_balances(sent, committed, effects, dead, unknown):
    """Produced equals the sum of the outcomes, in total and for each key."""
    counts = {0: 0, 1: 0}
    records = []
    for event_id, partition in sent:
        records.append(record(counts[partition], event_id, key=event_id.encode(), partition=partition))
        counts[partition] += 1
    sheet = balance.compute(records, committed, effects, dead=dead, unknown=unknown)
    assert sheet.count("produced") == sum(sheet.count(outcome) for outcome in OUTCOMES)
    table = sheet.table
    assert (table["produced"] == table[list(OUTCOMES)].sum(axis=1)).all()
    assert len({entry.event_id for entry in sheet.entries}) == len(sheet.entries)


def test_sheets_side_by_side():
    """A row for each, in their order; the columns that were asked for."""
    first = balance.compute([record(0, "a"), record(1, "b")], {0: 2}, {"a": 2})
    table = balance.side_by_side({"first": first, "none": balance.compute([], {}, {})}, "lost", "twice")
    assert list(table.index) == ["first", "none"]
    assert table.values.tolist() == [[1, 1], [0, 0]]
