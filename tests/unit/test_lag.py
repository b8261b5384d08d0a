"""Consumer lag, from offsets alone. Pure."""

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
        (4, 6, ""),  # nothing handled of what is there
        (7, 3, ""),
        (10, 0, ""),
        (3, 6, "out of range"),  # the log start has moved past it
        (11, 6, "out of range"),  # the group read another log
    ],
)
def test_the_lag_in_a_log_from_4_to_10(committed, left, note):
    """It counts from the committed offset; without a valid one, it is the whole log."""
    found = PartitionLag(0, begin=4, end=10, committed=committed)
    assert (found.lag, found.note) == (left, note)


@given(begin=OFFSETS, length=OFFSETS, committed=st.none() | OFFSETS)
def test_lag_is_never_negative_and_never_more_than_the_log(begin, length, committed):
    """For any committed offset and any log start."""
    found = PartitionLag(0, begin, begin + length, committed)
    assert 0 <= found.lag <= length
    if committed is not None and not found.out_of_range:
        assert found.lag == found.end - committed


def test_a_negative_offset_means_that_nothing_is_committed():
    """Some tools show -1; subtracting it would make the lag one too large."""
    found = lag.compute("t", {0: 0, 1: 2}, {0: 5, 1: 8}, {0: -1, 1: 6}, {1: 7})
    assert [(each.partition, each.committed, each.position) for each in found.partitions] == [
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


def test_the_picture_is_described_in_words():
    """Including nothing committed and out of range; with one partition and with two."""
    before = lag.compute("t", {0: 0}, {0: 6}, {}, {0: 2})
    after = lag.compute("t", {0: 4}, {0: 6}, {0: 2})
    words = repr(plots.lag({"before": before, "after": after}).figure)
    assert "before, partition 0: begin 0, position 2, nothing committed, end 6, lag 6." in words
    assert "after, partition 0: begin 4, committed 2, out of range, 2 deleted unread, end 6, lag 2." in words
    two = lag.compute("t", {0: 0, 1: 0}, {0: 0, 1: 3}, {})
    labels = [label.get_text() for label in plots.lag({"now": two}).get_yticklabels()]
    assert labels == ["now · 0", "now · 1"]


def test_what_was_deleted_unread_is_hatched_and_counted():
    """Between the committed offset and a later begin; a group that is not behind the begin has none."""
    behind, ahead = lag.compute("t", {0: 6}, {0: 10}, {0: 3}), lag.compute("t", {0: 6}, {0: 10}, {0: 8})
    ax = plots.lag({"behind": behind, "ahead": ahead})
    deleted = [bar for bar in ax.patches if bar.get_hatch() == "xxx"]
    assert [(bar.get_x(), bar.get_width()) for bar in deleted] == [(3, 3)]
    assert "deleted unread" in [label.get_text() for label in ax.get_legend().get_texts()]
    assert "committed 3, out of range, 3 deleted unread, end 10, lag 4" in repr(ax.figure)
    assert "deleted" not in repr(plots.lag({"ahead": ahead}).figure)
