"""Lag and age from outside, on a real broker; and the page that Prometheus scrapes."""

import threading
import time
import urllib.request

import pytest
from confluent_kafka import Consumer
from kafka import TopicPartition
from kafka.admin import MemberToRemove, NewTopic
from kafka.errors import KafkaError, NoError
from kafka.protocol.consumer.group import JoinGroupRequest, SyncGroupRequest
from kafka.structs import OffsetAndMetadata
from prometheus_client.parser import text_string_to_metric_families

from labsupport import groups
from labsupport.broker.cluster import private
from labsupport.errors import LabError
from labsupport.experiments.watching import log
from labsupport.observability import group_lag_metrics, metrics_page
from labsupport.observability.group_lag import Observer, Snapshot
from labsupport.waiting import until

TOPIC, GROUP = "95-orders", "95-reports"
WRITTEN = 1_700_000_000  # seconds since 1970: when the first record was written, the others a second later each


@pytest.fixture
def topic(cluster) -> str:
    """An empty topic with two partitions, and no group of an earlier test."""
    cluster.delete_groups(cluster.groups("95-"))
    return cluster.create_topic(TOPIC, 2)


@pytest.fixture
def observer(cluster):
    """One that looks at these tests' groups only."""
    with Observer(cluster, lambda group: group.startswith("95-"), lambda name: name.startswith("95-")) as observer:
        yield observer


def write(cluster, topic, count, partition=0, **settings):
    """Write records whose timestamps are a second apart."""
    producer = cluster.producer(name="shop", **settings)
    for number in range(count):
        producer.send(topic, b"%d" % number, partition=partition, timestamp_ms=(WRITTEN + number) * 1000)
    producer.flush(timeout=300)


def commit(cluster, group=GROUP, **offsets):
    """Commit for a group without members: `p0=3`."""
    at = {TopicPartition(TOPIC, int(name[1:])): OffsetAndMetadata(each, "", -1) for name, each in offsets.items()}

    def committed(admin):
        for error in admin.alter_group_offsets(group, at).values():
            if error is not NoError:
                raise error  # a coordinator that loads; `ask` asks again

    cluster.ask("a commit", committed)


def seen(snapshot, group=GROUP):
    """By partition: lag, when the oldest record was written (None: no such record), and the note."""
    return {
        each.partition: (each.lag, None if not each.age else round(snapshot.time - each.age, 3), each.note)
        for each in snapshot.of(group).partitions
    }


def test_the_age_is_that_of_the_record_at_the_committed_offset(cluster, topic, observer):
    """Each partition for itself, also the one in which nothing is committed; without lag it is 0."""
    write(cluster, topic, 5)
    write(cluster, topic, 3, partition=1)
    commit(cluster, p0=2)
    snapshot = observer.snapshot()
    assert seen(snapshot) == {0: (3, WRITTEN + 2, ""), 1: (3, WRITTEN, "nothing committed")}
    assert (snapshot.of(GROUP).lag, round(snapshot.time - snapshot.of(GROUP).age)) == (6, WRITTEN)
    commit(cluster, p0=5, p1=3)
    assert seen(observer.snapshot()) == {0: (0, None, ""), 1: (0, None, "")}
    assert observer.snapshot().of(GROUP).age == 0


def test_groups_at_several_places_of_one_partition(cluster, topic, observer):
    """As many rounds as places."""
    write(cluster, topic, 5)
    for place in range(4):
        commit(cluster, f"95-group-{place}", p0=place)
    snapshot = observer.snapshot()
    assert [seen(snapshot, f"95-group-{place}")[0][:2] for place in range(4)] == [
        (5 - place, WRITTEN + place) for place in range(4)
    ]
    commit(cluster, "95-group-0", p0=4)
    assert seen(observer.snapshot(), "95-group-0")[0] == (1, WRITTEN + 4, "")


def test_what_retention_has_deleted_is_not_left_to_do(cluster, topic, observer):
    """The lag counts from the log's new begin, and so does the age."""
    write(cluster, topic, 6)
    commit(cluster, p0=1)
    cluster.admin().delete_records({TopicPartition(topic, 0): 4})
    assert seen(observer.snapshot())[0] == (2, WRITTEN + 4, "out of range, 3 deleted unread")


def test_a_group_that_is_ahead_of_the_log_is_not_negative(cluster, topic, observer):
    """It read another log: auto_offset_reset decides, and the lag is the whole log."""
    write(cluster, topic, 2)
    commit(cluster, p0=9)
    assert seen(observer.snapshot())[0] == (2, WRITTEN, "out of range")


def transactional(cluster, topic, name, end):
    """Two records in a transaction; it ends in `end`, such as "abort_transaction", or stays open."""
    producer = cluster.producer(name=name, transactional_id=f"95-{name}")
    producer.init_transactions()
    producer.begin_transaction()
    for number in (10, 11):
        producer.send(topic, b"", partition=0, timestamp_ms=(WRITTEN + number) * 1000)
    producer.flush(timeout=300)
    if end:
        ended(cluster, topic, getattr(producer, end))
    return producer


def ended(cluster, topic, end):
    """Commit or abort; return when the marker is there, which the coordinator writes after it has answered."""
    before = log.bounds(cluster, topic)[1][0]
    end()
    until(lambda: log.bounds(cluster, topic)[1][0] > before, 300, "the transaction's marker")


def test_a_transaction_s_marker_is_lag_and_no_record(cluster, topic, observer):
    """Who commits the last record plus one has a lag of 1 for ever, and an age of 0."""
    transactional(cluster, topic, "t", "commit_transaction")
    commit(cluster, p0=2)
    assert seen(observer.snapshot())[0] == (1, None, "only transaction markers or removed records are left")
    commit(cluster, p0=1)
    assert seen(observer.snapshot())[0] == (2, WRITTEN + 11, "")


def test_an_aborted_transaction_s_records_have_no_age(cluster, topic, observer):
    """Nobody who reads committed gets them; a later record counts."""
    transactional(cluster, topic, "t", "abort_transaction")
    commit(cluster, p0=0)
    assert seen(observer.snapshot())[0] == (3, None, "only transaction markers or removed records are left")
    cluster.producer(name="shop").send(topic, b"", partition=0, timestamp_ms=WRITTEN * 1000).get(timeout=300)
    assert seen(observer.snapshot())[0] == (4, WRITTEN, "")


def test_an_open_transaction_s_record_ages_and_is_named(cluster, topic, observer):
    """It hides what came after it. Once aborted it counts no more."""
    write(cluster, topic, 1)
    producer = transactional(cluster, topic, "t", "")
    write(cluster, topic, 1)  # a plain record behind it
    commit(cluster, p0=0)
    assert seen(observer.snapshot())[0] == (4, WRITTEN, "3 offsets wait for an open transaction of 95-t")
    commit(cluster, p0=1)
    assert seen(observer.snapshot())[0] == (3, WRITTEN + 10, "3 offsets wait for an open transaction of 95-t")
    assert observer.snapshot().of(GROUP).partitions[0].hidden == 3
    ended(cluster, topic, producer.abort_transaction)
    assert seen(observer.snapshot())[0] == (4, WRITTEN, "")


def test_a_record_that_the_client_cannot_read_has_the_age_of_the_next(cluster, topic, observer, monkeypatch):
    """A poison of this kind ages too: this client has no library for what the writer compressed with."""
    packer = cluster.producer(name="packer", compression_type="snappy")
    packer.send(topic, b"x" * 1000, partition=0, timestamp_ms=WRITTEN * 1000).get(timeout=300)
    producer = cluster.producer(name="shop")
    producer.send(topic, b"", partition=0, timestamp_ms=(WRITTEN + 7) * 1000).get(timeout=300)
    commit(cluster, p0=0)
    monkeypatch.setattr("kafka.codec.snappy", None)
    lag, written, note = seen(observer.snapshot())[0]
    assert (lag, written) == (2, WRITTEN + 7)
    assert "cannot read" in note


def test_a_record_that_compaction_removed_is_followed_by_the_next(cluster, observer):
    """The committed offset itself is gone."""
    topic = cluster.create_topic(
        TOPIC, cleanup_policy="compact", segment_ms=1, min_cleanable_dirty_ratio=0, max_compaction_lag_ms=1
    )
    cluster.delete_groups([GROUP])
    producer = cluster.producer(name="shop")
    for number, key in enumerate(b"aabc"):
        at = (WRITTEN + number) * 1000
        producer.send(topic, b"", bytes([key]), partition=0, timestamp_ms=at).get(timeout=300)
    commit(cluster, p0=0)

    def first_is_gone():
        observer._known.clear()  # an age that was found once is not asked for again
        return seen(observer.snapshot())[0][1] == WRITTEN + 1

    assert until(first_is_gone, 300, "the first record to be removed")


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_member_s_topics_count_before_it_has_committed(cluster, topic, observer, protocol):
    """In both protocols; a share group and its members are listed, without offsets."""
    write(cluster, topic, 2)
    member = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": GROUP, "group.protocol": protocol})
    member.subscribe([topic])
    try:
        until(lambda: member.poll(0.05) or member.assignment(), 300, "partitions")
        snapshot = observer.snapshot()
        assert seen(snapshot) == {0: (2, WRITTEN, "nothing committed"), 1: (0, None, "nothing committed")}
        assert (snapshot.of(GROUP).group.kind, len(snapshot.of(GROUP).group.members)) == (protocol, 1)
    finally:
        member.close()


def test_a_group_that_does_not_consume_hides_nothing(cluster, topic, observer):
    """A schema registry's or Kafka Connect's: members tell each other bytes that are nobody else's business."""
    write(cluster, topic, 2)
    commit(cluster, p0=1)
    admin, name = cluster.admin(), "95-registry"
    said = b'{"version":1,"host":"sr1","port":8081}'
    protocol = JoinGroupRequest.JoinGroupRequestProtocol(name="v0", metadata=said)
    member = ""
    for _ in range(2):  # the first answer gives a new member its id
        joined = groups._ask(
            admin,
            name,
            JoinGroupRequest(
                group_id=name,
                session_timeout_ms=30_000,
                rebalance_timeout_ms=30_000,
                member_id=member,
                group_instance_id=None,
                protocol_type="sr",
                protocols=[protocol],
                reason=None,
            ),
        )
        member = joined.member_id
    assert joined.error_code == 0
    assignment = SyncGroupRequest.SyncGroupRequestAssignment(member_id=member, assignment=said)
    sync = SyncGroupRequest(
        group_id=name, generation_id=joined.generation_id, member_id=member, group_instance_id=None,
        protocol_type="sr", protocol_name="v0", assignments=[assignment],
    )  # fmt: skip
    assert groups._ask(admin, name, sync).error_code == 0
    with pytest.raises(ValueError, match="decoding"):  # without this fault of 3.0.12, groups.describe_all gets shorter
        admin.describe_groups([name])
    try:
        snapshot = observer.snapshot()
        found = snapshot.of(name)
        assert (found.group.state, [each.id for each in found.group.members], found.partitions) == (
            "Stable",
            [member],
            (),
        )
        assert seen(snapshot)[0] == (1, WRITTEN + 1, "")
    finally:
        admin.remove_group_members(name, [MemberToRemove(member, None)])


def test_two_hundred_groups_cost_as_many_requests_as_one(cluster, topic, observer):
    """Members and committed offsets are asked for together; each place is asked for once."""
    write(cluster, topic, 3)
    commit(cluster, "95-group-0", p0=1)
    sent = []
    manager = observer._clients.admin()._manager
    send = manager.send
    manager.send = lambda request, *more, **named: sent.append(type(request).__name__) or send(request, *more, **named)
    observer.snapshot()
    one, sent[:] = sorted(set(sent)), []
    observer.snapshot()
    of_one, sent[:] = len(sent), []
    for number in range(1, 200):
        commit(cluster, f"95-group-{number}", p0=1)
    snapshot = observer.snapshot()
    sent[:] = []
    snapshot = observer.snapshot()
    assert len(snapshot.groups) == 200
    assert all(seen(snapshot, each.group.name)[0] == (2, WRITTEN + 1, "") for each in snapshot.groups)
    assert len(sent) == of_one, (one, sent)


def samples(url):
    """The page's samples: {(name, group, topic, partition): value}, without the labels that a sample has not."""
    with urllib.request.urlopen(url, timeout=300) as page:
        families = text_string_to_metric_families(page.read().decode())
    labels = ("consumergroup", "topic", "partition")
    return {
        (each.name, *(each.labels[label] for label in labels if label in each.labels)): each.value
        for family in families
        for each in family.samples
    }


def test_the_page_has_kafka_exporter_s_names_and_the_snapshot_s_values(cluster, topic, observer):
    """What Prometheus scrapes."""
    write(cluster, topic, 5)
    commit(cluster, p0=2)
    with metrics_page.serve(group_lag_metrics.registry(observer.snapshot)) as page:
        found = samples(page.url)
        age = found.pop(("kafka_consumergroup_lag_seconds", GROUP, topic, "0"))
        assert time.time() - age == pytest.approx(WRITTEN + 2, abs=60)
        assert {key: value for key, value in found.items() if key[1:2] in ((), (GROUP,), (topic,))} == {
            ("kafka_lag_exporter_up",): 1,
            ("kafka_consumergroup_lag", GROUP, topic, "0"): 3,
            ("kafka_consumergroup_lag", GROUP, topic, "1"): 0,
            ("kafka_consumergroup_lag_seconds", GROUP, topic, "1"): 0,
            ("kafka_consumergroup_current_offset", GROUP, topic, "0"): 2,
            ("kafka_consumergroup_members", GROUP): 0,
            ("kafka_topic_partition_current_offset", topic, "0"): 5,
            ("kafka_topic_partition_current_offset", topic, "1"): 0,
            ("kafka_topic_partition_oldest_offset", topic, "0"): 0,
            ("kafka_topic_partition_oldest_offset", topic, "1"): 0,
        }


def test_two_who_scrape_at_once_are_served_one_after_the_other():
    """The observer's clients are for one thread."""
    inside, both, overlap = threading.Semaphore(1), threading.Barrier(2), []

    def take():
        overlap.append(not inside.acquire(blocking=False))
        time.sleep(0.05)  # so that the other would come in
        inside.release()
        return Snapshot(0.0, (), {}, {})

    collector = group_lag_metrics.GroupLagCollector(take)

    def scrape():
        both.wait(300)
        list(collector.collect())

    threads = [threading.Thread(target=scrape) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlap == [False, False]


def test_without_kafka_the_page_says_so_and_comes_back(settings):
    """A broker that is killed: no stale numbers, and no traceback."""
    with (
        private(1, settings) as kafka,
        Observer(kafka) as observer,
        metrics_page.serve(group_lag_metrics.registry(observer.snapshot)) as page,
    ):
        assert samples(page.url) == {("kafka_lag_exporter_up",): 1}
        kafka.broker().kill()
        assert samples(page.url) == {("kafka_lag_exporter_up",): 0}
        kafka.broker().start()
        until(lambda: samples(page.url) == {("kafka_lag_exporter_up",): 1}, 300, "the page to have Kafka again")


def test_a_partition_without_a_leader_hides_no_other(settings):
    """One of three brokers is killed: its partition is named, the groups in the others are seen."""
    with private(3, settings) as kafka, Observer(kafka) as observer:
        kafka.ask("topics", lambda admin: admin.create_topics([NewTopic("95-alone", 6, 1)]))
        write(kafka, "95-alone", 1)
        leaders = {
            each["partition_index"]: each["leader_id"]
            for each in kafka.ask("the leaders", lambda admin: admin.describe_topics(["95-alone"]))[0]["partitions"]
        }
        assert set(leaders.values()) == {1, 2, 3}
        kafka.broker(2).kill()
        lost = tuple(TopicPartition("95-alone", number) for number in sorted(leaders) if leaders[number] == 2)

        def without_its_partitions():
            try:
                return observer.snapshot().leaderless == lost
            except (LabError, KafkaError):
                return False  # the other broker does not know it yet

        until(without_its_partitions, 300, "the partitions without a leader to be named")
        assert {each.partition for each in observer.snapshot().ends} == leaders.keys() - {
            each.partition for each in lost
        }
