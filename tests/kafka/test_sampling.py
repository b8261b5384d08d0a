"""`lab.watch`: lag and age while an experiment runs, on a real broker."""

import pytest

from labsupport import lesson, plots
from labsupport.errors import LabError
from labsupport.waiting import until

SEEN = ["members", "end", "committed", "lag"]


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("91")


def send(lab, topic, count):
    """Write so many records into partition 0."""
    producer = lab.producer(name="shop")
    for _ in range(count):
        producer.send(topic, b"", partition=0)
    producer.flush(timeout=300)


def test_a_killed_consumer_s_lag_grows_with_each_record_and_its_age_with_the_time(lab):
    """Lag at the marks is the same in each run; the age grows without any record."""
    topic, group = lab.topic("orders", partitions=2), lab.group("reports")
    with lab.members(topic, group) as members, lab.watch(topic, group) as watched:
        members.start("A")
        send(lab, topic, 5)
        watched.until(lambda now: now[0].committed == 5, "all to be committed")
        watched.mark("caught up")
        members.kill("A")
        watched.until(lambda now: now[0].members == 0, "the broker to notice")
        send(lab, topic, 3)
        first = watched.mark("3 more")
        send(lab, topic, 4)
        last = watched.mark("4 more")
        count = len(watched.samples)
        watched.until(lambda now: now[0].age > last[0].age, "the age to grow")
        assert len(watched.samples) > count
    table = watched.table
    assert table.xs(0, level="partition")[SEEN].to_numpy().tolist() == [[1, 5, 5, 0], [0, 8, 5, 3], [0, 12, 5, 7]]
    assert (table.loc[("caught up", 0), "age"], first[0].age < last[0].age) == (0, True)
    assert watched.samples == tuple(sorted(watched.samples, key=lambda each: (each.at, each.partition)))
    axes = plots.lag_and_age({"killed": watched.samples}, watched.marks)
    assert len(axes) == 2
    words = repr(axes[0].figure)
    assert words == (
        "Picture: lag in records and age in seconds over time, of killed. Marked: caught up, 3 more, 4 more."
    )


def test_it_samples_by_itself_and_stops_at_the_end(lab):
    """Without a call; afterwards no thread and no client is left."""
    topic, group = lab.topic("orders"), lab.group("reports")
    lab.delete_groups([group])
    consumer = lab.consumer(topic, name="c", group_id=group, enable_auto_commit=False)
    with lab.watch(topic, group) as watched:
        until(lambda: consumer.poll(timeout_ms=100) or watched.samples, 300, "samples of its own")
    before = watched.samples
    with pytest.raises(LabError, match="closed"):
        watched.now()
    assert watched.samples == before
    assert {each.members for each in before} == {1}


def test_a_group_that_does_not_exist_yet_has_no_samples(lab):
    """And no error: it may come."""
    topic = lab.topic("orders")
    with lab.watch(topic, lab.group("nobody")) as watched:
        assert watched.now() == ()
        assert watched.mark("nothing") == ()
    assert watched.table.empty
