"""The replicas of a topic, while brokers are frozen and killed."""

from dataclasses import replace

import pytest

from labsupport.broker.cluster import Cluster, private
from labsupport.broker.server_properties import STEADY
from labsupport.course.lab import Lab
from labsupport.errors import LabError
from labsupport.experiments.watching import replicas


def test_what_brokers_say_of_a_topic_can_be_asked_of_any_kafka(cluster):
    """By address only: the lab did not start these brokers. A name that no broker knows is an error that says so."""
    theirs = Cluster(cluster.bootstrap)
    topic = cluster.create_topic("90-replicas", partitions=2)
    states = replicas.read(theirs, topic)
    assert [(each.partition, each.leader, each.replicas, each.isr) for each in states] == [
        (0, 1, (1,), (1,)),
        (1, 1, (1,), (1,)),
    ]
    with pytest.raises(LabError, match="replicas of 90-nothing") as caught:
        replicas.read(theirs, "90-nothing", timeout=0.1)
    assert "UnknownTopicOrPartitionError" in caught.value.seen


def test_the_isr_shrinks_and_grows_and_an_accepted_record_stays_invisible(settings):
    """With min.insync.replicas=2: a frozen follower, then a killed one, which is eligible; then the first one is back.

    A record that the last replica accepts (acks=1) is on its disk only, and committed when another replica has it.
    """
    with private(3, settings, controller=True, **STEADY) as kafka:
        topic = kafka.create_topic("90-isr", replicas=[2, 3, 1], min_insync_replicas=2)
        producer = kafka.producer(name="p", acks=1, enable_idempotence=False)
        producer.partitions_for(topic)  # now, or it may ask the frozen broker later
        with replicas.watching(kafka, topic) as watch:
            watch.mark("begin")
            kafka.broker(3).pause()
            watch.until(lambda state: state.isr == (1, 2), "3 frozen")
            kafka.broker(1).kill()
            watch.until(lambda state: state.isr == (2,), "1 killed")
            producer.send(topic, b"accepted").get(timeout=300)
            assert replicas.on_disk(kafka.broker(2), topic) == [b"accepted"]
            assert replicas.on_disk(kafka.broker(1), topic) == []
            kafka.broker(3).resume()
            watch.until(lambda state: state.isr == (2, 3), "3 resumed")
            assert replicas.on_disk(kafka.broker(3), topic) == [b"accepted"]
            with pytest.raises(LabError, match="a fourth replica") as caught:
                watch.until(lambda state: 4 in state.isr, "a fourth replica", timeout=0.3)
            assert "isr=(2, 3)" in caught.value.seen
        rows = [tuple(row)[1:] for row in watch.table.itertuples()]
        assert rows == [
            ("2", "2 3 1", "1 2 3", "–", "–"),
            ("2", "2 3 1", "1 2", "–", "–"),
            ("2", "2 3 1", "2", "1", "–"),
            ("2", "2 3 1", "2 3", "–", "–"),
        ]
        assert list(watch.table.index.get_level_values(0)) == ["begin", "3 frozen", "1 killed", "3 resumed"]
        roles = [span.role for span in watch.history.spans() if span.broker == 3]
        assert roles == ["in sync", "out of sync", "in sync"]
        kafka.embedded.kill()
        with pytest.raises(LabError, match="none of them runs"):
            replicas.read(kafka, topic)


def test_the_leader_is_the_first_of_the_named_replicas(settings):
    """`replicas` places every partition; without it Kafka chooses."""
    with private(3, replace(settings, kafka="127.0.0.1:1")) as kafka:
        topic = kafka.create_topic("90-placed", partitions=2, replicas=[3, 1])
        assert [(each.leader, each.replicas) for each in replicas.read(kafka, topic)] == [(3, (3, 1))] * 2


def test_a_lesson_keeps_its_brokers(cluster, settings):
    """The next call gives the same ones: the dead and the frozen run again, clients are closed. Others replace them."""
    lab = Lab("90", cluster, settings)
    kafka = lab.brokers(2, controller=True)
    reader = kafka.consumer(name="reader")
    kafka.broker(1).kill()
    kafka.broker(2).pause()
    assert lab.brokers(2, controller=True) is kafka
    assert [each.state for each in kafka.embedded.nodes] == ["running"] * 3
    assert reader._closed
    kafka.create_topic("90-kept", replicas=[1, 2])
    others = lab.brokers(1, controller=True)
    assert [each.state for each in kafka.embedded.nodes] == ["stopped"] * 3
    assert [each.state for each in others.embedded.nodes] == ["running"] * 2
    lab.close()
    assert not others.embedded.folder.exists()
