"""Groups of every protocol: described, emptied and deleted. Their members use librdkafka."""

import contextlib
import re
import threading

import pytest
from confluent_kafka import Consumer, KafkaException, ShareConsumer
from kafka import TopicPartition
from kafka.admin import OffsetSpec

from labsupport import lesson
from labsupport.commands import doctor
from labsupport.course.session import Lesson
from labsupport.errors import LabError
from labsupport.experiments.breaking.members import owners
from labsupport.history import reset
from labsupport.waiting import until

GROUP = "97-newer"
CLIENTS = {"consumer": Consumer, "share": ShareConsumer}


@pytest.fixture
def topic(cluster) -> str:
    """An empty topic with three partitions, and no group of an earlier test."""
    cluster.delete_groups([GROUP])
    return cluster.create_topic("97-orders", 3)


@contextlib.contextmanager
def joined(cluster, topic, kind, *names, **more):
    """Members of GROUP that poll until the end of the `with`; only Kafka tells them of an eviction."""
    protocol = {"group.protocol": "consumer"} if kind == "consumer" else {}
    given = {"bootstrap.servers": cluster.bootstrap, "group.id": GROUP, **protocol}
    members = [
        CLIENTS[kind]({**given, "client.id": name, **dict.fromkeys(more.get("own", ()), name)}) for name in names
    ]
    enough = threading.Event()

    def poll(member) -> None:
        with contextlib.suppress(KafkaException):  # a share group's member that hears that its group is gone has ended
            while not enough.is_set():
                member.poll(0.05)

    threads = [threading.Thread(target=poll, args=[member], daemon=True) for member in members]
    for member, thread in zip(members, threads, strict=True):
        member.subscribe([topic])
        thread.start()
    try:
        until(lambda: sorted(cluster.describe(GROUP).owners) == sorted(names), 300, "all to have joined")
        until(lambda: all(cluster.describe(GROUP).owners.values()), 300, "all to have partitions")
        yield members
    finally:
        enough.set()
        for member, thread in zip(members, threads, strict=True):
            thread.join(300)
            member.close()


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_group_of_a_newer_protocol_is_seen(cluster, topic, kind):
    """Its kind, its members by name and what they own; kafka-python's own answer is a dead group without members."""
    with joined(cluster, topic, kind, "A", "B"):
        found = cluster.describe(GROUP)
        assert (found.kind, sorted(found.owners)) == (kind, ["A", "B"])
        assert {number for numbers in found.owners.values() for number in numbers} == {0, 1, 2}
        until(lambda: sorted(owners(cluster, GROUP)) == ["A", "B"], 300, "the group to be stable")
        assert re.search(rf"with members: .*\b{GROUP}\b", doctor.groups(cluster).seen)


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_group_of_a_newer_protocol_can_be_deleted_under_its_members(cluster, topic, kind):
    """Also under living ones, which may join again later, and again after that."""
    with joined(cluster, topic, kind, "A"):
        for _ in range(3):
            cluster.delete_groups([GROUP])


def test_a_lesson_opens_at_once_over_members_that_were_left_open(settings, cluster):
    """What lesson 06's extra leaves in its kernel if its last cell was not run; static members, too."""
    with Lesson("97", cluster, settings) as left:
        orders = left.topic("orders", partitions=2)
        with joined(cluster, orders, "consumer", "A", "B", own=["group.instance.id"]):
            assert lesson("97").groups("97-") == []


def test_a_group_with_members_of_a_newer_protocol_is_not_reset(cluster, topic):
    """They are named, before anything is asked of the broker."""
    with joined(cluster, topic, "consumer", "A", "B"), pytest.raises(LabError, match="it has members: A, B"):
        reset.reset_offsets(cluster.admin(), GROUP, topic, to="earliest")
    reset.reset_offsets(cluster.admin(), GROUP, topic, to="earliest")


def test_who_keeps_a_group_from_being_deleted_is_named(cluster, topic, monkeypatch):
    """The error says which programs to stop."""
    monkeypatch.setattr("labsupport.broker.cluster.remove_members", lambda *_: None)  # as if it were back at once
    monkeypatch.setattr("labsupport.broker.cluster.GONE", 1)
    with joined(cluster, topic, "consumer", "careless"), pytest.raises(LabError, match="joining: careless"):
        cluster.delete_groups([GROUP])


def test_a_topic_can_be_used_when_it_is_made_however_many_partitions_it_has(cluster):
    """An elected leader may not have its log yet, and a request for offsets then waits for its timeout."""
    topic = cluster.create_topic("97-many", 700)
    begins = {TopicPartition(topic, number): OffsetSpec.EARLIEST for number in range(700)}
    assert len(cluster.admin().list_partition_offsets(begins, timeout_ms=1)) == 700
    cluster.delete_topics([topic])
