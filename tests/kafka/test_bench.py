"""The bench: it measures both sides and leaves a running lab alone. No test checks the figures."""

from labsupport.broker import processes
from labsupport.broker.cluster import connect
from labsupport.commands.bench import machine, measure


def test_the_table_compares_with_stock_and_leaves_a_running_lab_alone(elsewhere):
    """Each row of the broker has both sides and their ratio; the lab's own broker and topics are as before."""
    with connect(elsewhere) as kafka:
        kafka.create_topic("97-bench")
        before = kafka.broker(1).process
        rows = measure(elsewhere, runs=1, sizes=[1], events=500)
        assert kafka.broker(1).process == before
        assert "97-bench" in kafka.topics()
    compared = [row for row in rows if row.ratio is not None]
    assert [(row.unit, row.against) for row in compared] == [
        ("s", "stock"), ("s", "stock"), ("MB", "stock"), *[("s", "by hand")] * 4,
    ]  # fmt: skip
    for row in compared:
        assert row.ratio == row.other / row.lab > 0
    assert len(rows) == 10
    assert {each.role for each in processes.running(elsewhere)} <= {"background", "training"}
    assert "cores" in machine()
