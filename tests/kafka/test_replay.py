"""Choosing records of a real topic, handing them on, sending them; whatever happens to the topic meanwhile."""

from datetime import UTC, datetime, timedelta

import confluent_kafka
import pytest
from kafka import TopicPartition
from kafka.errors import MessageSizeTooLargeError

from labsupport import faults, publish, reading, replay, story
from labsupport.broker.cluster import private
from labsupport.errors import LabError
from labsupport.experiments.watching.log import until_end
from labsupport.history.replay import Outgoing, Selection, Skip
from labsupport.shop.event import Event

EVENTS = story.events(120, seed=1)
OPENING = EVENTS[0].timestamp


def published(cluster, events=EVENTS, partitions=3, name="98-orders", **config):
    """A topic with these events, whose timestamps are the records' own."""
    topic = cluster.create_topic(name, partitions, **config)
    publish.publish(cluster.producer(name="p"), topic, events, dated=True)
    return topic


def event_of(record):
    """The event in a record."""
    return Event.decode(record.value)


def chosen(cluster, choice, **settings):
    """The replay of a choice, with a consumer of its own."""
    return replay.choose(cluster.consumer(name="replay", **settings), choice)


def events_of(cluster, topic):
    """The events that a topic holds, and the records, in the order of each partition."""
    records = []
    chosen(cluster, Selection(topic)).handle(records.append)
    return records


# Choosing


def test_everything_that_is_there_is_handed_on_once_and_in_order(cluster):
    """In the order of each partition, marked, with an report; no group has committed anything afterwards."""
    topic, seen, groups = published(cluster), [], cluster.groups()
    report = replay.choose(cluster.consumer(name="replay"), Selection(topic), replay_id="july").handle(seen.append)
    assert sorted(event_of(each).timestamp for each in seen) == [each.timestamp for each in EVENTS]
    for partition in range(3):
        offsets = [each.offset for each in seen if each.partition == partition]
        assert offsets == list(range(len(offsets)))
    assert {replay.replayed(each) for each in seen} == {"july"}
    assert (report.read, report.chosen, report.done) == (120, 120, 120)
    assert report.complete
    assert set(cluster.groups()) <= set(groups)  # a member that an earlier test killed may leave meanwhile


def test_records_are_chosen_by_partition_offset_key_type_and_function(cluster):
    """Each alone and all together: exactly those; what was left out is counted by why."""
    topic = published(cluster)
    everything = events_of(cluster, topic)

    def check(rule, **asked):
        seen = []
        report = chosen(cluster, Selection(topic, **asked)).handle(seen.append)
        expected = {(each.partition, each.offset) for each in everything if rule(each)}
        assert {(each.partition, each.offset) for each in seen} == expected != set()
        assert report.read == report.chosen + sum(report.left_out.values())
        return report

    order = EVENTS[0].payload["order_id"]
    check(lambda each: each.partition in (0, 2), partitions=[0, 2])
    check(lambda each: 3 <= each.offset < 9, start=3, stop=9)
    check(lambda each: each.key == order.encode(), keys=[order])
    check(lambda each: event_of(each).event_type in ("OrderCreated", "ReportGenerated"),
          types=["OrderCreated", "ReportGenerated"])  # fmt: skip
    check(lambda each: each.offset % 2, where=lambda each: each.offset % 2)
    both = check(
        lambda each: each.partition == 1 and each.offset >= 2 and event_of(each).event_type == "OrderCreated",
        partitions=1, start=2, types="OrderCreated",
    )  # fmt: skip
    assert set(both.left_out) == {"type"}


def test_records_are_chosen_by_their_time(cluster):
    """From the one moment up to, but not with, the other; also if a record is older than those before it."""
    late = story.events(130, seed=1)[120:]
    topic = published(cluster, [*EVENTS[:60], *late, *EVENTS[60:]])
    seen = []
    since, before = OPENING + timedelta(seconds=30), OPENING + timedelta(seconds=90)
    report = chosen(cluster, Selection(topic, since=since, before=before)).handle(
        lambda each: seen.append(event_of(each))
    )
    assert sorted(seen, key=lambda each: each.timestamp) == EVENTS[30:90]
    assert report.read > report.chosen == 60


@pytest.mark.parametrize(("since", "done", "said"), [
    (OPENING - timedelta(days=1), 120, "no record is older: the log begins at 0"),
    (datetime(1960, 1, 1, tzinfo=UTC), 120, "no record is older"),
    (OPENING + timedelta(days=1), 0, "every record is older"),
])  # fmt: skip
def test_a_time_outside_the_log_is_its_nearest_end_and_that_is_said(cluster, since, done, said):
    """Before the beginning: everything. After the end: nothing."""
    report = chosen(cluster, Selection(published(cluster), since=since)).handle(lambda record: None)
    assert report.done == done
    assert report.complete
    assert all(said in each.notes[0] for each in report.ranges)


def test_a_time_in_an_empty_topic(cluster):
    """There is nothing, and that is said."""
    report = chosen(cluster, Selection(published(cluster, []), since=OPENING)).handle(lambda record: None)
    assert report.read == 0
    assert "the log is empty" in str(report)


def test_an_offset_outside_the_log_is_its_nearest_end_and_that_is_said(cluster):
    """Deleted, or not there yet."""
    topic = published(cluster, partitions=1)
    cluster.admin().delete_records({TopicPartition(topic, 0): 100})
    report = chosen(cluster, Selection(topic, start=5, stop=500)).handle(lambda record: None)
    assert report.done == 20
    assert "offset 5 is not there any more: the log begins at 100" in str(report)
    assert "offset 500 is not there yet: the log ends at 120" in str(report)


@pytest.mark.parametrize(("asked", "said"), [
    ({"topic": "98-nowhere"}, "no topic '98-nowhere'"),
    ({"partitions": [1, 7, 9]}, "no partition 7, 9"),
])  # fmt: skip
def test_what_is_not_there_is_refused(cluster, asked, said):
    """A topic, or a partition of it."""
    topic = published(cluster)
    with pytest.raises(LabError, match=said):
        chosen(cluster, Selection(**{"topic": topic} | asked))


def test_a_consumer_that_would_move_a_group_is_refused(cluster):
    """One with topics of its own, and one that commits by itself."""
    topic = published(cluster)
    with pytest.raises(LabError, match="chooses what its consumer reads"):
        replay.choose(cluster.consumer(topic, name="A"), Selection(topic))
    with pytest.raises(LabError, match="decides what is committed"):
        chosen(cluster, Selection(topic), group_id="98-g")
    assert chosen(cluster, Selection(topic), group_id="98-g", enable_auto_commit=False).handle(str).done == 120


# While it runs


def test_what_is_added_after_the_choice_does_not_belong_to_it(cluster):
    """The dry run, and the real one after the topic has grown, see the same; one that grows while it is read, too."""
    topic = published(cluster)
    replaying = chosen(cluster, Selection(topic), max_poll_records=10)
    counted = replaying.handle(str, dry_run=True)
    producer = cluster.producer(name="p")
    publish.publish(producer, topic, story.events(50, seed=2))

    def handle(record):
        publish.publish(producer, topic, EVENTS[:5])

    done = replaying.handle(handle)
    assert (counted.chosen, counted.done, done.done) == (120, 0, 120)
    assert counted.ranges == done.ranges
    assert "120 would be handled" in str(counted)


def test_the_consumer_can_be_used_again(cluster):
    """For another replay, of partitions that came to their ends at different times; and for reading by hand."""
    topic = published(cluster, story.events(3_000, seed=6))
    consumer = cluster.consumer(name="replay", max_poll_records=50)
    for stop in (900, 30, 400):
        seen = []
        replay.choose(consumer, Selection(topic, stop=stop)).handle(seen.append)
        everything = replay.choose(consumer, Selection(topic)).handle(seen.append)
        assert everything.done == 3_000
        assert {each.partition for each in seen[-3_000:]} == {0, 1, 2}
    consumer.assign([TopicPartition(topic, 0)])
    consumer.seek(TopicPartition(topic, 0), 0)
    assert len(list(reading.to_the_end(consumer))) == everything.reached[0]


@pytest.mark.parametrize("reset", ["latest", "earliest", "none"])
def test_records_that_expire_in_between_are_counted(cluster, reset):
    """Whatever auto_offset_reset says: remaining records are delivered, and deleted ones are reported."""
    big = [story.events(1, seed=number)[0] for number in range(300)]
    topic = published(cluster, big, partitions=1)
    small = {"max_poll_records": 5, "max_partition_fetch_bytes": 500, "fetch_max_bytes": 500}
    offsets = []

    def handle(record):
        offsets.append(record.offset)
        if record.offset == 20:
            cluster.admin().delete_records({TopicPartition(topic, 0): 200})
            publish.publish(cluster.producer(name="p"), topic, big[:10])

    report = chosen(cluster, Selection(topic), auto_offset_reset=reset, **small).handle(handle)
    assert offsets == [*range(offsets.index(200)), *range(200, 300)]
    assert report.expired == {0: 200 - offsets.index(200)}
    assert report.expired[0] > 100
    assert report.complete
    assert "offsets were deleted before they were read" in str(report)


def test_everything_that_was_left_expires_in_between(cluster):
    """The log begins behind the end of the choice: it has come to its end."""
    topic = published(cluster, partitions=1)
    small = {"max_poll_records": 5, "max_partition_fetch_bytes": 500, "fetch_max_bytes": 500}

    def handle(record):
        if record.offset == 0:
            cluster.admin().delete_records({TopicPartition(topic, 0): 119})

    report = chosen(cluster, Selection(topic, stop=100), **small).handle(handle)
    assert report.complete
    assert report.done + report.expired[0] == 100


def test_a_topic_that_is_made_anew_in_between_is_told(cluster):
    """Its offsets are others: to go on would be to mix two topics."""
    topic = published(cluster, partitions=1)
    small = {"max_poll_records": 5, "max_partition_fetch_bytes": 500, "fetch_max_bytes": 500}

    def handle(record):
        if record.offset == 0:
            published(cluster, EVENTS[:3], partitions=1)

    with pytest.raises(LabError, match="which it had") as caught:
        chosen(cluster, Selection(topic), auto_offset_reset="earliest", **small).handle(handle)
    assert "98-orders: " in caught.value.__notes__[0]


def test_an_unknown_type_in_the_middle_and_no_event_at_all(cluster):
    """Counted and left, with examples of where; those behind them are handled."""
    topic = cluster.create_topic("98-orders")
    producer = cluster.producer(name="p")
    publish.publish(producer, topic, EVENTS[:5])
    unknown = EVENTS[5].encode().replace(EVENTS[5].event_type.encode(), b"OrderShipped")
    for value in (unknown, b"\xff", None, unknown, unknown):
        producer.send(topic, value, b"key").get(timeout=300)
    publish.publish(producer, topic, EVENTS[5:10])
    seen = []
    report = chosen(cluster, Selection(topic)).handle(seen.append, decode=event_of)
    assert seen == EVENTS[:10]
    assert report.skipped == {"unknown type": 3, "undecodable": 2}
    assert report.chosen == report.done + 5 == 15
    assert [each.partition(": ")[0] for each in report.examples] == ["98-orders/0/5", "98-orders/0/6", "98-orders/0/7"]
    assert report.complete


def test_an_error_of_the_handler_comes_out_with_the_account(cluster):
    """As it is, with a note that says how far it came; from there it can go on."""
    topic, seen = published(cluster, partitions=1), []

    def handle(record):
        if record.offset == 70 and 70 not in seen:
            seen.append(70)
            raise KeyError("on purpose")
        seen.append(record.offset)

    replaying = chosen(cluster, Selection(topic))
    with pytest.raises(KeyError) as caught:
        replaying.handle(handle)
    assert caught.value.__notes__ == [str(replaying.report)]
    assert replaying.report.done == 70
    assert not replaying.report.complete
    assert "partition 0: came to offset 70 of 0 to 119" in str(replaying.report)
    chosen(cluster, Selection(topic, start=replaying.report.reached[0])).handle(handle)
    assert seen == [*range(70), 70, *range(70, 120)]


def test_the_end_is_found_behind_the_markers_of_transactions(cluster):
    """They have offsets and are no records; what was aborted is not replayed."""
    topic = cluster.create_topic("98-orders")
    producer = cluster.producer(name="t", transactional_id="98-t")
    producer.init_transactions()
    commit, abort = producer.commit_transaction, producer.abort_transaction
    for times, ends in enumerate((commit, abort, commit), 1):
        producer.begin_transaction()
        for number in range(10):
            producer.send(topic, b"%d" % number)
        producer.flush(timeout=300)
        ends()
        until_end(cluster, topic, {0: 11 * times})
    report = chosen(cluster, Selection(topic)).handle(str)
    assert (report.done, report.reached, report.expired) == (20, {0: 33}, {})
    assert report.complete


def test_a_broker_that_goes_away_and_comes_back(runtime):
    """A replay goes on by itself; while Kafka is frozen it says so, after its patience."""
    with private(settings=runtime.settings) as kafka:
        topic = published(kafka, partitions=1)

        def handle(record):
            if record.offset == 30:
                with faults.stopped(kafka.broker(1)):
                    pass

        small = {"max_poll_records": 5, "max_partition_fetch_bytes": 500, "fetch_max_bytes": 500}
        assert chosen(kafka, Selection(topic), **small).handle(handle).done == 120
        replaying = replay.choose(kafka.consumer(name="replay", **small), Selection(topic), patience=1)
        with pytest.raises(LabError, match="Nothing came") as caught, faults.paused(kafka.broker(1)):
            replaying.handle(str)
        assert "came to offset" in caught.value.__notes__[0]


# Sending


def test_sent_records_are_the_same_but_for_the_mark(cluster):
    """Key, value, headers, time and the order of each key; ids are kept, so that who knows an event knows it again."""
    topic, target = published(cluster), cluster.create_topic("98-again", 3)
    report = chosen(cluster, Selection(topic)).send(cluster.producer(name="out"), target)
    assert report.done == 120
    assert str(report) == "98-orders: 120 records read (read_committed), 120 chosen, 120 sent"
    before, after = events_of(cluster, topic), []
    cluster_records = reading.to_the_end(assigned(cluster, target))
    after = sorted(cluster_records, key=lambda each: (each.partition, each.offset))
    before.sort(key=lambda each: (each.partition, each.offset))

    def content(each):
        return each.partition, each.key, each.value, each.timestamp, each.headers[:2]

    assert [content(each) for each in after] == [content(each) for each in before]
    assert {replay.replayed(each) for each in after} == {report.replay_id}
    assert [dict(each.headers)["replay_origin"].decode() for each in after] == [
        f"{topic}/{each.partition}/{each.offset}" for each in before
    ]


def assigned(cluster, topic):
    """A consumer at the beginning of all of the topic's partitions."""
    consumer = cluster.consumer(name="after", auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, each) for each in sorted(consumer.partitions_for_topic(topic))])
    return consumer


def test_a_dry_run_sends_nothing(cluster):
    """And counts what would be sent."""
    topic, target = published(cluster), cluster.create_topic("98-again")
    report = chosen(cluster, Selection(topic, types="OrderCreated")).send(
        cluster.producer(name="o"), target, dry_run=True
    )
    orders = sum(each.event_type == "OrderCreated" for each in EVENTS)
    assert f"{orders} would be sent" in str(report)
    assert report.done == 0
    assert events_of(cluster, target) == []


def test_a_topic_can_be_sent_to_itself(cluster):
    """Once, not for ever: its end was fixed before."""
    topic = published(cluster)
    assert chosen(cluster, Selection(topic)).send(cluster.producer(name="out"), topic).done == 120
    assert len(events_of(cluster, topic)) == 240


def test_what_is_sent_can_be_made_from_the_record(cluster):
    """To where and what a function says, without a mark; what it leaves is counted by its reason."""
    topic, target = published(cluster, partitions=1), cluster.create_topic("98-mended", 2)

    def mend(record):
        if record.offset < 10:
            raise Skip("too old", f"offset {record.offset}")
        event_of(record)
        return Outgoing(target, record.key, b"mended", (("why", b"test"),), partition=1)

    report = chosen(cluster, Selection(topic)).send(cluster.producer(name="out"), mend)
    assert report.skipped == {"too old": 10}
    assert report.examples[0] == "98-orders/0/0: offset 0"
    records = list(reading.to_the_end(assigned(cluster, target)))
    assert len(records) == report.done == 110
    assert {(each.partition, each.value, tuple(each.headers)) for each in records} == {
        (1, b"mended", (("why", b"test"),))
    }


def test_a_topic_that_is_not_there_is_told_before_anything_is_sent(cluster):
    """In a sentence; also if a function names it."""
    topic = published(cluster)
    with pytest.raises(LabError, match="no topic '98-nowhere'"):
        chosen(cluster, Selection(topic)).send(cluster.producer(name="out"), "98-nowhere")
    with pytest.raises(LabError, match="no topic '98-nowhere'"):
        chosen(cluster, Selection(topic)).send(
            cluster.producer(name="out"), lambda each: Outgoing("98-nowhere", b"", b"")
        )
    with pytest.raises(LabError, match="in_flight is 0"):
        chosen(cluster, Selection(topic)).send(cluster.producer(name="out"), topic, in_flight=0)


def test_what_this_client_cannot_send_is_counted_and_left(cluster):
    """Records of another client: neither key nor value, and a header without a value."""
    topic, target = cluster.create_topic("98-odd"), cluster.create_topic("98-again")
    other = confluent_kafka.Producer({"bootstrap.servers": cluster.bootstrap})
    other.produce(topic)
    other.produce(topic, value=b"x", headers=[("trace", None)])
    other.produce(topic, value=b"x", headers=[("trace", b"1"), ("trace", b"2")])
    assert other.flush(300) == 0
    report = chosen(cluster, Selection(topic)).send(cluster.producer(name="out"), target)
    assert report.skipped == {"this client cannot send it": 2}
    assert report.examples == ("98-odd/0/0: neither key nor value", "98-odd/0/1: the header 'trace' has no value")
    (sent,) = events_of(cluster, target)
    assert sent.headers[:2] == [("trace", b"1"), ("trace", b"2")]


@pytest.mark.parametrize("in_flight", [1, 1_000])
def test_a_record_that_is_not_acknowledged_ends_it_with_the_account(cluster, in_flight):
    """The client's error, which record it was, and what is known of the others."""
    topic = published(cluster, EVENTS[:5], partitions=1)
    cluster.producer(name="p").send(topic, b"x" * 3_000).get(timeout=300)
    target = cluster.create_topic("98-small", max_message_bytes=1_000)
    replaying = chosen(cluster, Selection(topic))
    with pytest.raises(MessageSizeTooLargeError) as caught:
        replaying.send(cluster.producer(name="out"), target, in_flight=in_flight)
    assert caught.value.__notes__[0] == "the first record that was not acknowledged: 98-orders/0/5"
    assert caught.value.__notes__[1] == str(replaying.report)
    assert replaying.report.done == 5 == len(events_of(cluster, target))
    assert (replaying.report.refused, replaying.report.unanswered) == ({"MessageSizeTooLargeError": 1}, 0)
    assert not replaying.report.complete


def test_an_interrupted_send_knows_what_was_acknowledged(cluster):
    """What is on its way when it stops is acknowledged or unanswered, nothing else."""
    topic, target = published(cluster, partitions=1), cluster.create_topic("98-again")

    def make(record):
        if record.offset == 50:
            raise KeyboardInterrupt
        return Outgoing(target, record.key, record.value)

    producer = cluster.producer(name="out")
    replaying = chosen(cluster, Selection(topic))
    with pytest.raises(KeyboardInterrupt):
        replaying.send(producer, make)
    assert replaying.report.done + replaying.report.unanswered == 50
    producer.flush(timeout=300)
    assert (replaying.report.done, replaying.report.unanswered) == (50, 0)
    assert len(events_of(cluster, target)) == 50
