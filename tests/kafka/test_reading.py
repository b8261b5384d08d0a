"""Reading to the end and publishing through a window: the two loops of the lessons."""

import time

import pytest
from kafka import TopicPartition
from kafka.errors import IllegalStateError, MessageSizeTooLargeError
from kafka.structs import OffsetAndMetadata

from labsupport import faults, publish, reading, story
from labsupport.broker.cluster import private
from labsupport.errors import LabError
from labsupport.shop.event import Event
from labsupport.waiting import until

EARLIEST = {"auto_offset_reset": "earliest", "enable_auto_commit": False}


def filled(cluster, count, partitions=1, name="98-filled"):
    """A topic with `count` records whose values are their numbers."""
    topic = cluster.create_topic(name, partitions)
    producer = cluster.producer(name="p")
    for number in range(count):
        producer.send(topic, b"%d" % number)
    producer.flush(timeout=300)
    return topic


def values(records):
    """Their values, as numbers."""
    return sorted(int(record.value) for record in records)


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_group_reads_to_the_end(cluster, partitions):
    """All of them, of all partitions; a second time nothing but what was not committed."""
    topic = filled(cluster, 30, partitions)
    consumer = cluster.consumer(topic, name="A", group_id="98-g", **EARLIEST)
    for record in reading.to_the_end(consumer):
        consumer.commit(reading.after(record))
        assert consumer.committed(TopicPartition(topic, record.partition), timeout_ms=5_000) == record.offset + 1
    again = cluster.consumer(topic, name="A", group_id="98-g", **EARLIEST)
    assert values(reading.to_the_end(again)) == []


def test_numbers_are_published_to_the_partitions_in_turn(cluster):
    """In one partition a value is its offset; in three they are dealt out."""
    one, three = cluster.create_topic("98-one", 1), cluster.create_topic("98-three", 3)
    publish.numbers(cluster.producer(name="p"), one, 5)
    publish.numbers(cluster.producer(name="p"), three, 5, partitions=3)
    found = []
    for topic in (one, three):
        consumer = cluster.consumer(topic, name="A", group_id=f"{topic}-g", **EARLIEST)
        found.append(sorted((int(each.value), each.partition, each.offset) for each in reading.to_the_end(consumer)))
    assert found[0] == [(number, 0, number) for number in range(5)]
    assert found[1] == [(number, number % 3, number // 3) for number in range(5)]


def test_the_end_is_where_it_was_when_reading_began(cluster):
    """A topic that grows while it is read does not keep the reader for ever."""
    topic = filled(cluster, 5)
    consumer = cluster.consumer(name="A", **EARLIEST)
    consumer.assign([TopicPartition(topic, 0)])
    read = []
    for record in reading.to_the_end(consumer):
        read.append(record)
        cluster.producer(name="p").send(topic, b"more").get(timeout=300)
    assert [record.offset for record in read][:5] == [0, 1, 2, 3, 4]
    assert len(read) <= 10


def test_an_empty_topic_ends_at_once(cluster):
    """There is nothing to wait for."""
    consumer = cluster.consumer(filled(cluster, 0), name="A", group_id="98-empty", **EARLIEST)
    assert list(reading.to_the_end(consumer)) == []


@pytest.mark.parametrize(("committed", "reset", "read"), [
    (99, "earliest", [3, 4, 5]), (99, "latest", []),
    (1, "earliest", [3, 4, 5]), (1, "latest", []), (4, "latest", [4, 5]),
])  # fmt: skip
def test_a_committed_offset_that_is_not_in_the_log(cluster, committed, reset, read):
    """Past its end or before its beginning: auto_offset_reset decides."""
    topic = filled(cluster, 6)
    cluster.admin().delete_records({TopicPartition(topic, 0): 3})
    group = f"98-{committed}-{reset}"
    cluster.admin().alter_group_offsets(group, {TopicPartition(topic, 0): OffsetAndMetadata(committed, "", -1)})
    consumer = cluster.consumer(topic, name="A", group_id=group, auto_offset_reset=reset, enable_auto_commit=False)
    assert values(reading.to_the_end(consumer)) == read


def test_without_a_partition_it_says_why(cluster):
    """There is no such topic; or another member has the only partition."""
    with pytest.raises(LabError) as caught:
        list(reading.to_the_end(cluster.consumer("98-nowhere", name="A", group_id="98-n", **EARLIEST), patience=1))
    assert "there is no topic 98-nowhere" in caught.value.seen
    topic = filled(cluster, 3)
    first = cluster.consumer(topic, name="A", group_id="98-two", **EARLIEST)
    second = cluster.consumer(topic, name="B", group_id="98-two", **EARLIEST)

    def both() -> bool:
        first.poll(timeout_ms=100)
        second.poll(timeout_ms=100)
        group = cluster.admin().describe_groups(["98-two"])["98-two"]
        return group["group_state"] == "Stable" and len(group["members"]) == 2

    until(both, 300, "both to be members")
    with pytest.raises(LabError) as caught:
        list(reading.to_the_end(second, patience=1))
    assert "other members of its group" in caught.value.seen


def test_a_broker_that_stops_and_comes_back(runtime):
    """Reading goes on by itself; while it is away, the reader says so after its patience, and in a sentence."""
    with private(settings=runtime.settings) as kafka:
        topic = filled(kafka, 400)
        consumer = kafka.consumer(name="A", max_poll_records=10, **EARLIEST)
        consumer.assign([TopicPartition(topic, 0)])
        records = reading.to_the_end(consumer)
        read = [next(records) for _ in range(15)]
        with faults.stopped(kafka.broker(1)):
            pass
        read += records
        assert values(read) == list(range(400))
        kafka.producer(name="p").send(topic, b"400").get(timeout=300)
        with faults.paused(kafka.broker(1)), pytest.raises(LabError, match="Kafka does not answer"):
            list(reading.to_the_end(consumer, patience=1))


# Publishing


def test_a_partition_is_resumed_when_its_wait_is_over_and_not_before(cluster):
    """Another one waits on. A partition that the learner paused without a wait is left alone."""
    topic = filled(cluster, 1, partitions=3)
    consumer = cluster.consumer(name="A", **EARLIEST)
    over, waiting, without = [TopicPartition(topic, number) for number in range(3)]
    consumer.assign([over, waiting, without])
    reading.pause(consumer, over, until=time.monotonic())
    reading.pause(consumer, waiting, until=time.monotonic() + 1_000)
    consumer.pause(without)
    reading.resume_due(consumer)
    assert consumer.paused() == {waiting, without}


def test_publishing_waits_for_every_acknowledgement(cluster):
    """In their order by key, with headers, from a list or from a generator, through the smallest window too."""
    for window, events in ((1, story.events(20)), (1_000, iter(story.events(20)))):
        topic = cluster.create_topic("98-published", 3)
        assert publish.publish(cluster.producer(name="p"), topic, events, in_flight=window) == 20
        consumer = cluster.consumer(name="A", **EARLIEST)
        consumer.assign([TopicPartition(topic, number) for number in range(3)])
        records = list(reading.to_the_end(consumer))
        assert {Event.decode(record.value) for record in records} == set(story.events(20))
        assert all(record.headers == Event.decode(record.value).headers() for record in records)
    assert publish.publish(cluster.producer(name="p"), topic, []) == 0


def test_an_event_that_is_not_acknowledged_is_named(cluster):
    """The client's own error, with a note; a closed client too."""
    topic = cluster.create_topic("98-small", max_message_bytes=100)
    with pytest.raises(MessageSizeTooLargeError) as caught:
        publish.publish(cluster.producer(name="p"), topic, story.events(3))
    assert "the first event that was not acknowledged: <OrderCreated 1" in caught.value.__notes__[0]
    closed = cluster.producer(name="p")
    closed.close(timeout=5)
    with pytest.raises(IllegalStateError) as caught:
        publish.publish(closed, topic, story.events(3))
    assert "the event that was not sent" in caught.value.__notes__[0]


@pytest.mark.parametrize("window", [0, -1, 1.5, None])
def test_a_window_is_a_whole_number_from_1(cluster, window):
    """Refused before anything is sent."""
    topic = cluster.create_topic("98-window")
    with pytest.raises(LabError, match="in_flight is"):
        publish.publish(cluster.producer(name="p"), topic, story.events(3), in_flight=window)
    assert values(reading.to_the_end(cluster.consumer(topic, name="A", group_id="98-w", **EARLIEST))) == []


def test_publishing_is_bounded_while_the_broker_is_frozen(runtime):
    """Not more are on their way than the window holds, however long the list is."""
    with private(settings=runtime.settings) as kafka:
        topic = kafka.create_topic("98-bounded")
        settings = {"request_timeout_ms": 700, "delivery_timeout_ms": 1_500}
        producer = kafka.producer(name="p", **settings)
        producer.send(topic, b"first").get(timeout=300)
        asked = []

        def events():
            for event in story.events(500):
                asked.append(event)
                yield event

        begin = time.monotonic()
        with faults.paused(kafka.broker(1)), pytest.raises(Exception, match="Expiring"):
            publish.publish(producer, topic, events(), in_flight=50)
        assert len(asked) <= 51
        assert time.monotonic() - begin < 60
