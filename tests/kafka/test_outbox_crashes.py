"""Ways to change a state and publish an event, on the real broker, in processes that really die."""

import pytest

from labsupport.errors import LabError
from labsupport.experiments.breaking import crashes, outbox_crashes

EXPECTED = {  # what each point does to one order, by way: lost, twice; None where the way has no such point
    "state, then event": ((0, 0), None, (1, 0), (1, 0), (0, 0), None, (0, 0)),
    "event, then state": ((0, 1), None, (0, 0), (0, 0), (0, 1), None, (0, 1)),
    "both in a Kafka transaction": ((0, 0), None, (1, 0), (1, 0), (1, 0), None, (1, 0)),
    "outbox, marked before sent": ((0, 0), (0, 0), (0, 0), (1, 0), (0, 0), (1, 0), (0, 0)),
    "outbox": ((0, 0), (0, 0), (0, 0), (0, 0), (0, 1), (0, 0), (0, 0)),
    "outbox, read with an inbox": ((0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0)),
}


@pytest.mark.parametrize("way", outbox_crashes.WAYS, ids=lambda way: way.name)
def test_a_way_loses_and_doubles_where_it_must(cluster, way):
    """At every point; nothing else is lost or doubled. What came twice behind an inbox was there twice."""
    matrix = outbox_crashes.run(cluster, [way])
    found = {each.point: (each.lost, each.twice) if each.struck else None for each in matrix.results}
    assert found == dict(zip(outbox_crashes.POINTS, EXPECTED[way.name], strict=True))
    again = {each.point: each.redelivered for each in matrix.results}
    assert again["after sending"] == (way.name in ("event, then state", "outbox", "outbox, read with an inbox"))


def test_a_matrix_goes_on_where_it_stopped(cluster, tmp_path):
    """What is in the file is not run again, and another way's result is kept."""
    file, ways = tmp_path / "results.jsonl", outbox_crashes.WAYS[:2]
    first = outbox_crashes.run(cluster, ways[:1], ["after the change"], file=file)
    both = outbox_crashes.run(cluster, ways, ["after the change"], file=file)
    assert first.results == both.results[:1] == crashes.read(file)[:1]
    assert len(crashes.read(file)) == 2


def test_a_point_that_does_not_exist_is_named(cluster):
    """With those that do."""
    with pytest.raises(LabError, match="no crash point 'after'"):
        outbox_crashes.run(cluster, points=["after"])
