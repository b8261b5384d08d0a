"""What can happen has names, and a name that is misspelt is an error. Pure."""

import pytest
from kafka import TopicPartition

from labsupport.delivery.moments import Kind, Moment
from labsupport.errors import LabError
from labsupport.experiments.watching import moment_file, plots
from labsupport.experiments.watching.ownership import GroupHistory

P0 = TopicPartition("orders", 0)


@pytest.mark.parametrize("asks", [
    lambda: Kind("handeld"),
    lambda: Moment("handeld", 0.0, "A"),
    lambda: GroupHistory.from_moments([]).of_kind("handeld"),
])  # fmt: skip
def test_a_misspelt_kind_is_an_error(asks):
    """Otherwise a history would be empty, and a wait for it would never end."""
    with pytest.raises(LabError, match="did you mean 'handled'"):
        asks()


def test_a_moment_comes_back_from_its_file_as_it_was(tmp_path):
    """With its kind as a kind and its partitions as partitions."""
    moments = (
        Moment(Kind.HANDLED, 1.0, "A", (P0,), 3, "k", "id"),
        Moment(Kind.STATEMENT, 2.0, "A", (P0,), 3, "k", "id", name="INSERT effects"),
    )
    append = moment_file.writer(tmp_path / "moments")
    for moment in moments:
        append(moment)
    assert moment_file.read(tmp_path / "moments") == moments
    assert [moment.kind.name for moment in moment_file.read(tmp_path / "moments")] == ["HANDLED", "STATEMENT"]


def test_a_statement_is_known_by_its_kind_and_a_point_by_its_name():
    """The case of the letters does not decide which is a statement."""
    moments = [
        Moment(Kind.HANDLING, 0.0, "A", (P0,), 0, "k", "a"),
        Moment(Kind.POINT, 1.0, "A", (P0,), 0, "k", "a", name="DONE"),
        Moment(Kind.STATEMENT, 2.0, "A", (P0,), 0, "k", "a", name="insert"),
    ]
    assert [moment.point for moment in moments] == ["handling", "DONE", "insert"]
    lanes = [label.get_text() for label in plots.spacetime(moments).get_yticklabels()]
    assert lanes == ["producer", "broker", "consumer A", "database"]
    assert "consumer A: event 1; DONE; insert" in repr(plots.spacetime(moments).figure)
    assert "database" not in [label.get_text() for label in plots.spacetime(moments[:2]).get_yticklabels()]
