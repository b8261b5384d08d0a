"""How much is left for a group, from offsets alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsupport.experiments.watching import lag, plots
from labsupport.experiments.watching.lag import PartitionLag

OFFSETS = st.integers(0, 50)


@pytest.mark.parametrize(
    ("committed", "left", "note"),
    [
        (None, 6, "nothing committed"),
        (4, 6, ""),  # nothing of what is there is done
        (7, 3, ""),
        (10, 0, ""),
        (3, 6, "out of range"),  # the beginning has moved past it
        (11, 6, "out of range"),  # another log than the one that was read
    ],
)
def test_what_is_left_of_a_log_from_4_to_10(committed, left, note):
    """Committed is the next one to read; without a valid one it is all that is there."""
    place = PartitionLag(0, begin=4, end=10, committed=committed)
    assert (place.lag, place.note) == (left, note)


@given(begin=OFFSETS, length=OFFSETS, committed=st.none() | OFFSETS)
def test_lag_is_never_negative_and_never_more_than_the_log(begin, length, committed):
    """Whatever was committed, and whatever was deleted."""
    place = PartitionLag(0, begin, begin + length, committed)
    assert 0 <= place.lag <= length
    if committed is not None and not place.out_of_range:
        assert place.lag == place.end - committed


def test_a_negative_offset_means_that_there_is_none():
    """Some tools show -1 for "nothing committed"; subtracting it would make a lag of one too many."""
    found = lag.compute("t", {0: 0, 1: 2}, {0: 5, 1: 8}, {0: -1, 1: 6}, {1: 7})
    assert [(place.partition, place.committed, place.position) for place in found.partitions] == [
        (0, None, None),
        (1, 6, 7),
    ]
    assert found.total == 5 + 2


def test_the_table_has_a_row_for_each_partition_and_a_dash_for_what_is_not_known():
    """Offsets stay whole numbers."""
    table = lag.compute("t", {0: 0, 1: 0}, {0: 5, 1: 0}, {0: 2}).table
    assert list(table.columns) == ["begin", "position", "committed", "end", "lag", "note"]
    assert table.loc[0].tolist() == [0, "–", 2, 5, 3, ""]
    assert table.loc[1].tolist() == [0, "–", "–", 0, 0, "nothing committed"]


def test_the_picture_says_in_words_what_it_shows():
    """Nothing committed and out of range too; one partition or several."""
    before = lag.compute("t", {0: 0}, {0: 6}, {}, {0: 2})
    after = lag.compute("t", {0: 4}, {0: 6}, {0: 2})
    words = repr(plots.lag({"before": before, "after": after}).figure)
    assert "before, partition 0: begin 0, position 2, nothing committed, end 6, lag 6." in words
    assert "after, partition 0: begin 4, committed 2, out of range, end 6, lag 2." in words
    two = lag.compute("t", {0: 0, 1: 0}, {0: 0, 1: 3}, {})
    labels = [label.get_text() for label in plots.lag({"now": two}).get_yticklabels()]
    assert labels == ["now · 0", "now · 1"]
