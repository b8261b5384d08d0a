"""Resetting a real group: it reads on from its new offsets. Refused while it has members."""

from datetime import UTC, datetime, timedelta

import pytest
from kafka import TopicPartition

from labsupport import publish, reading, reset, story
from labsupport.errors import LabError
from labsupport.experiments.watching import log

EVENTS = story.events(60, seed=1)
OPENING = EVENTS[0].timestamp
GROUP = "98-group"
SETTINGS = {"group_id": GROUP, "auto_offset_reset": "earliest", "enable_auto_commit": False}


@pytest.fixture
def topic(cluster):
    """A topic whose records have their events' times, read to its end by a group that has left."""
    cluster.delete_groups([GROUP])
    name = cluster.create_topic("98-orders", 2)
    publish.publish(cluster.producer(name="p"), name, EVENTS, dated=True)
    read_on(cluster, name)
    return name


def read_on(cluster, topic):
    """The records that the group gets from its committed offsets on; it commits them and leaves."""
    consumer = cluster.consumer(topic, name="A", **SETTINGS)
    records = list(reading.to_the_end(consumer))
    consumer.commit()
    cluster.close_client("A")
    return records


def coordinates(records):
    """Where records lie."""
    return {(each.partition, each.offset) for each in records}


def test_a_group_reads_again_from_where_it_was_set_to(cluster, topic):
    """Beginning, end, an offset, back by a shift, a time: exactly what lies behind that."""
    ends = log.committed(cluster, topic, GROUP)
    everything = {(partition, offset) for partition, end in ends.items() for offset in range(end)}

    def check(expected, **where):
        before = log.committed(cluster, topic, GROUP)
        would = reset.reset_offsets(cluster.admin(), GROUP, topic, dry_run=True, **where)
        assert log.committed(cluster, topic, GROUP) == before
        done = reset.reset_offsets(cluster.admin(), GROUP, topic, **where)
        assert done.targets == would.targets
        assert all(each.committed == before[each.partition] for each in done.targets)
        assert coordinates(read_on(cluster, topic)) == expected

    check(everything, to="earliest")
    check(set(), to="latest")
    check({(partition, offset) for partition, offset in everything if offset >= 20}, offset=20)
    check({(partition, offset) for partition, offset in everything if offset >= ends[partition] - 3}, shift_by=-3)
    check({(0, offset) for partition, offset in everything if partition == 0}, to="earliest", partitions=[0])
    reset.reset_offsets(cluster.admin(), GROUP, topic, time=OPENING + timedelta(seconds=50))
    again = read_on(cluster, topic)
    assert len(again) == 10
    assert all(each.timestamp >= (OPENING + timedelta(seconds=50)).timestamp() * 1_000 for each in again)


@pytest.mark.parametrize(("where", "offsets", "said"), [
    ({"time": OPENING - timedelta(days=1)}, "begins", "no record is older"),
    ({"time": datetime(1960, 1, 1, tzinfo=UTC)}, "begins", "no record is older"),
    ({"time": OPENING + timedelta(days=1)}, "ends", "every record is older"),
    ({"offset": 0}, "begins", "not there any more: the log begins at 5"),
    ({"offset": 1_000}, "ends", "not there yet"),
    ({"shift_by": -1_000}, "begins", "not there any more"),
    ({"shift_by": 1}, "ends", "not there yet"),
])  # fmt: skip
def test_what_lies_outside_the_log_becomes_its_nearest_end_and_is_said(cluster, topic, where, offsets, said):
    """Before what was deleted, and after what is there."""
    cluster.admin().delete_records({TopicPartition(topic, each): 5 for each in range(2)})
    done = reset.reset_offsets(cluster.admin(), GROUP, topic, **where)
    begins, ends = log.bounds(cluster, topic)
    assert log.committed(cluster, topic, GROUP) == {"begins": begins, "ends": ends}[offsets]
    assert all(said in each.note for each in done.targets)
    assert said in str(done)
    assert list(done.table["offset"]) == [each.offset for each in done.targets]


def test_a_time_without_a_zone_is_refused(cluster, topic):
    """Before Kafka is asked."""
    with pytest.raises(LabError, match="time is"):
        reset.reset_offsets(cluster.admin(), GROUP, topic, time=datetime(2026, 4, 16))  # noqa: DTZ001


def test_a_group_with_members_is_left_alone_with_the_reason(cluster, topic):
    """In the middle of its work, and also for a dry run: its numbers would be old at once."""
    before = log.committed(cluster, topic, GROUP)
    consumer = cluster.consumer(topic, name="A", **SETTINGS)
    reading.join(consumer)
    for dry_run in (True, False):
        with pytest.raises(LabError, match="cannot be reset now") as caught:
            reset.reset_offsets(cluster.admin(), GROUP, topic, to="earliest", dry_run=dry_run)
        assert "it has members: A" in caught.value.seen
        assert "stop them first" in caught.value.next_step
    assert log.committed(cluster, topic, GROUP) == before
    cluster.close_client("A")
    reset.reset_offsets(cluster.admin(), GROUP, topic, to="earliest")
    assert set(log.committed(cluster, topic, GROUP).values()) == {0}


def test_the_broker_itself_refuses_too(cluster, topic, monkeypatch):
    """A member may join between check and reset: the broker refuses, and the error says so."""
    consumer = cluster.consumer(topic, name="A", **SETTINGS)
    reading.join(consumer)
    before = log.committed(cluster, topic, GROUP)
    asked = []
    require = reset._require_nobody
    monkeypatch.setattr(reset, "_require_nobody", lambda *who: asked.append(who) if not asked else require(*who))
    with pytest.raises(LabError, match="it has members: A"):
        reset.reset_offsets(cluster.admin(), GROUP, topic, to="earliest")
    assert log.committed(cluster, topic, GROUP) == before


def test_a_group_that_is_new_can_be_given_its_first_place(cluster, topic):
    """But it cannot be shifted: nothing is changed then, in no partition."""
    cluster.delete_groups([GROUP])
    with pytest.raises(LabError, match="cannot be shifted by -1"):
        reset.reset_offsets(cluster.admin(), GROUP, topic, shift_by=-1)
    assert GROUP not in cluster.groups()
    done = reset.reset_offsets(cluster.admin(), GROUP, topic, offset=20)
    assert {each.committed for each in done.targets} == {None}
    assert "nothing was committed" in str(done)
    assert all(offset >= 20 for _, offset in coordinates(read_on(cluster, topic)))


def test_a_topic_or_partition_that_is_not_there_is_refused(cluster, topic):
    """With its name."""
    with pytest.raises(LabError, match="no topic '98-nowhere'"):
        reset.reset_offsets(cluster.admin(), GROUP, "98-nowhere", to="latest")
    with pytest.raises(LabError, match="no partition 5"):
        reset.reset_offsets(cluster.admin(), GROUP, topic, to="latest", partitions=[0, 5])
