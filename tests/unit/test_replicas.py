"""The replicas of a partition over time, from states as brokers tell them."""

import pytest

from labsupport.experiments.watching import plots
from labsupport.experiments.watching.replicas import History, Sample, State

WHOLE = State(0, 1, (1, 2, 3), (1, 2, 3))
SHRUNK = State(0, 1, (1, 2, 3), (1,), elr=(2,))
OFFLINE = State(0, None, (1, 2, 3), (), elr=(2,), last_known_elr=(1,))
HISTORY = History(
    (
        Sample(0.0, WHOLE),
        Sample(0.0, State(1, 2, (2,), (2,))),
        Sample(0.2, WHOLE),
        Sample(3.0, SHRUNK),
        Sample(4.0, SHRUNK),
        Sample(5.0, OFFLINE),
        Sample(6.0, OFFLINE),
    ),
    {"begin": 0.0, "two followers killed": 3.0, "leader killed": 5.0},
)


@pytest.mark.parametrize(
    ("state", "roles"),
    [
        (WHOLE, ["leader", "in sync", "in sync"]),
        (SHRUNK, ["leader", "eligible leader", "out of sync"]),
        (OFFLINE, ["out of sync", "eligible leader", "out of sync"]),
    ],
)
def test_a_broker_has_one_role_for_a_partition(state, roles):
    """The leader is in the ISR, too; a partition with all in sync is whole."""
    assert [state.role(number) for number in (1, 2, 3)] == roles
    assert state.whole == (state is WHOLE)


def test_a_role_lasts_until_the_next_one_is_seen():
    """Samples of the same role are one span; the last one ends with the samples. Other partitions are left out."""
    spans = [(each.broker, each.role, each.begin, each.end) for each in HISTORY.spans()]
    assert spans == [
        (1, "leader", 0.0, 5.0),
        (1, "out of sync", 5.0, 6.0),
        (2, "in sync", 0.0, 3.0),
        (2, "eligible leader", 3.0, 6.0),
        (3, "in sync", 0.0, 3.0),
        (3, "out of sync", 3.0, 6.0),
    ]
    assert [each.role for each in HISTORY.spans(1)] == ["leader"]
    assert HISTORY.spans(7) == ()


def test_the_table_has_a_row_for_each_mark_and_partition():
    """A dash for no leader, and for nobody; the number of a broker stands alone."""
    table = HISTORY.table
    assert list(table.columns) == ["leader", "replicas", "ISR", "ELR", "last known ELR"]
    assert [tuple(row) for row in table.itertuples()] == [
        (("begin", 0), "1", "1 2 3", "1 2 3", "–", "–"),
        (("begin", 1), "2", "2", "2", "–", "–"),
        (("two followers killed", 0), "1", "1 2 3", "1", "2", "–"),
        (("leader killed", 0), "–", "1 2 3", "–", "2", "1"),
    ]
    assert History(()).table.empty


def test_the_picture_has_a_row_for_each_replica_and_a_line_for_each_mark():
    """Its description names the marks and what each broker was then; it has no times."""
    ax = plots.replicas(HISTORY)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["broker 1", "broker 2", "broker 3"]
    assert [round(bar.get_width(), 2) for bar in ax.patches] == [5, 1.24, 3, 3.24, 3, 3.24]
    assert [line.get_xdata()[0] for line in ax.lines] == [0, 3, 5]
    assert "2: two followers killed" in ax.get_xlabel()
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["leader", "in sync", "eligible leader", "out of sync"]
    assert repr(ax.figure) == (
        "Picture: what each broker was for partition 0, over time. begin: 1 leader, 2 in sync, 3 in sync; "
        "two followers killed: 1 leader, 2 eligible leader, 3 out of sync; "
        "leader killed: 1 out of sync, 2 eligible leader, 3 out of sync."
    )
    assert "No marks" in repr(plots.replicas(History(())).figure)
