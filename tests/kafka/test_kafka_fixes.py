"""Each fault of kafka-python that the lab works around: the bare client has it, and with the workaround it is gone."""

import contextlib
import json
import sys

import pytest
from confluent_kafka import Consumer
from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition, codec
from kafka.admin import KafkaAdminClient
from kafka.errors import (
    CoordinatorNotAvailableError,
    CorruptRecordError,
    InvalidProducerEpochError,
    KafkaConnectionError,
    KafkaTimeoutError,
    NoError,
    ProducerFencedError,
    UnknownTopicOrPartitionError,
)
from kafka.protocol.consumer import IsolationLevel
from kafka.record.default_records import DefaultRecordBase
from kafka.record.memory_records import MemoryRecords
from kafka.structs import OffsetAndMetadata

from labsupport import kafka_fixes
from labsupport.broker.cluster import private
from labsupport.experiments.breaking import faults
from labsupport.experiments.watching import log
from labsupport.kafka_fixes import UnreadableError, ask_for_all_topics, outlive_brokers, readable
from labsupport.waiting import until

READS = {"auto_offset_reset": "earliest", "enable_auto_commit": False}


@pytest.fixture
def bare(cluster):
    """`bare(KafkaConsumer, topic, …)`: a client without the lab's workarounds, closed after the test."""
    with contextlib.ExitStack() as stack:

        def client(kind, *topics, **settings):
            made = kind(*topics, bootstrap_servers=cluster.bootstrap.split(","), **settings)
            stack.callback(made.close, **({"timeout": 5} if kind is KafkaProducer else {"timeout_ms": 5_000}))
            return made

        yield client


# Brokers that go away

# Without a backoff each search for the coordinator meets a refused connection, which otherwise is a matter of luck.
IMPATIENT = {"reconnect_backoff_ms": 1, "reconnect_backoff_max_ms": 1, "request_timeout_ms": 5_000}


@pytest.fixture
def losing(runtime):
    """`losing(repair)`: a broker that has just stopped, and a consumer of it that `repair` has returned.

    Without a `group` it has its partition assigned, and has read a record there.
    """
    with contextlib.ExitStack() as stack:

        def lost(repair=lambda consumer: consumer, group="98-group"):
            kafka = stack.enter_context(private(settings=runtime.settings))
            topic = kafka.create_topic("98-lost")
            kafka.producer(name="p").send(topic, b"0").get(timeout=300)
            more = {"bootstrap_servers": kafka.bootstrap, "group_id": group, **READS, **IMPATIENT}
            consumer = repair(KafkaConsumer(**more))
            stack.callback(consumer.close, timeout_ms=1_000)
            consumer.subscribe([topic]) if group else consumer.assign([TopicPartition(topic, 0)])
            kafka_fixes.ask_for_topics(consumer, topic)  # or its short polls may never get a partition
            until(lambda: consumer.poll(timeout_ms=200), 300, "the consumer to read a record")
            kafka.broker(1).stop()
            return kafka, topic, consumer

        yield lost


def test_bare_a_consumer_ends_with_its_broker(losing):
    """Its poll() raises a retriable error."""
    _, _, consumer = losing()
    with pytest.raises(KafkaConnectionError):
        until(lambda: consumer.poll(timeout_ms=5_000), 300, "the error")


def test_a_consumer_outlives_its_broker(losing):
    """It polls on, gets a timeout for a commit, and works again when the broker is back."""
    kafka, topic, consumer = losing(outlive_brokers)
    offsets = {partition: OffsetAndMetadata(0, "", -1) for partition in consumer.assignment()}
    for _ in range(2):
        assert consumer.poll(timeout_ms=1_000) == {}
        with pytest.raises(KafkaTimeoutError):
            consumer.commit(offsets, timeout_ms=1_000)
    kafka.broker(1).start()
    kafka.producer(name="p").send(topic, b"1").get(timeout=300)
    assert [record.value for records in polled(consumer, 1) for record in records] == [b"1"]


def leaderless(consumer, topic):
    """Let the consumer know what metadata says while a broker stops, if the client happens to ask just then."""
    metadata = consumer._cluster._partitions[topic][0]
    metadata.leader_id, metadata.leader_epoch = -1, metadata.leader_epoch + 1


def test_bare_a_position_is_lost_with_the_broker(losing):
    """The fault without a group: the position was known, and asking for it raises."""
    _, topic, consumer = losing(group=None)
    leaderless(consumer, topic)
    with pytest.raises(KafkaConnectionError):
        consumer.position(TopicPartition(topic, 0), timeout_ms=2_000)


def test_a_position_outlives_the_broker(losing):
    """It is what it was, and reading goes on when the broker is back."""
    kafka, topic, consumer = losing(outlive_brokers, None)
    leaderless(consumer, topic)
    for _ in range(4):
        assert consumer.poll(timeout_ms=500) == {}
        assert consumer.position(TopicPartition(topic, 0), timeout_ms=1_000) == 1
    kafka.broker(1).start()
    kafka.producer(name="p").send(topic, b"1").get(timeout=300)
    assert [record.value for records in polled(consumer, 1) for record in records] == [b"1"]


# Topics


async def nothing():
    """One turn of the client's loop, in which it sends what is due."""


@pytest.fixture
def asking(cluster, bare):
    """`asking(repair)`: a consumer of a topic that does not exist, which has just asked for that topic."""

    def made(repair=lambda consumer: consumer):
        consumer = repair(bare(KafkaConsumer, "98-nowhere", group_id="98-asking", retry_backoff_ms=1, **READS))
        consumer.poll(timeout_ms=300)

        def asks():
            consumer._manager.call_soon(consumer._cluster.refresh_metadata)
            consumer._net.run(nothing)
            return consumer._cluster.metadata_refresh_in_progress

        until(asks, 300, "a request to be under way")
        return consumer

    return made


def test_the_client_lets_out_the_error_of_another_request(cluster, asking):
    """The fault: the topic exists that it is asked about, and the error names the one of its subscription."""
    topic = cluster.create_topic("98-there", 2)
    with pytest.raises(UnknownTopicOrPartitionError, match="98-nowhere"):
        asking().partitions_for_topic(topic)


def test_a_question_about_topics_gets_its_own_answer(cluster, asking):
    """What exists has its partitions, what does not has none; and the next request is for the subscription again."""
    topic = cluster.create_topic("98-there", 2)
    consumer = asking(ask_for_all_topics)
    assert consumer.partitions_for_topic(topic) == {0, 1}
    assert consumer.partitions_for_topic("98-nowhere") == set()
    assert topic in asking(ask_for_all_topics).topics()
    assert not consumer._cluster.need_all_topic_metadata


# Records that the client cannot read


def compressed(cluster, name, how, values):
    """A topic of one partition with a batch of its own for each value, compressed by `how`."""
    topic = cluster.create_topic(name)
    producer = cluster.producer(name="p", compression_type=how)
    for value in values:
        producer.send(topic, value).get(timeout=300)
    return topic


@pytest.fixture
def without(monkeypatch):
    """`without("snappy")`: as in an environment that has not got that library."""
    return lambda name: monkeypatch.setattr(codec, name, None)


def emptied_marker() -> bytes:
    """The batch of a marker at offset 3, as the cleaner leaves it: a header without records."""
    header = DefaultRecordBase.HEADER_STRUCT
    attributes = DefaultRecordBase.TRANSACTIONAL_MASK | DefaultRecordBase.CONTROL_MASK
    return header.pack(3, header.size - 12, 0, 2, 0, attributes, 0, 0, 0, 7, 0, -1, 0)


@pytest.mark.parametrize("fixed", [False, True])
def test_a_marker_that_compaction_has_emptied(bare, fixed):
    """It is passed by. When a committed log is read, the bare client fails at it."""
    consumer = bare(KafkaConsumer)
    kind = (readable(consumer) if fixed else consumer)._fetcher.PartitionRecords
    level, records = IsolationLevel.READ_COMMITTED, MemoryRecords(emptied_marker())
    unpacked = kind(3, TopicPartition("98-t", 0), records, check_crcs=False, isolation_level=level)
    if fixed:
        assert (unpacked.take(5), unpacked.next_fetch_offset) == ([], 4)
    else:
        with pytest.raises(RuntimeError, match="StopIteration"):
            unpacked.take(5)


@pytest.mark.parametrize("how", ["gzip", "snappy", "lz4", "zstd"])
def test_what_others_compress_is_read(cluster, how):
    """Each codec that Kafka knows, also a batch that is many times larger when it is unpacked."""
    large = b"x" * 900_000
    topic = compressed(cluster, "98-packed", how, [b"1", large])
    consumer = cluster.consumer(topic, name="c", **READS)
    found = [record.value for records in polled(consumer, 2) for record in records]
    assert found == [b"1", large]


def poll(consumer):
    """One that waits for what comes."""
    return consumer.poll(timeout_ms=5_000)


def polled(consumer, count):
    """Poll until so many records have come; the lists in which they came."""
    lists, left = [], count
    while left > 0:
        for records in consumer.poll(timeout_ms=1_000).values():
            lists.append(records)
            left -= len(records)
    return lists


@pytest.mark.parametrize("how", ["snappy", "lz4", "zstd"])
def test_each_poll_says_what_cannot_be_read_and_how_to_go_on(cluster, without, how):
    """The first, the second, a `for` loop and the one after that; then past it, as the error says."""
    topic = compressed(cluster, "98-packed", how, [b"x" * 500, b"y" * 500])
    cluster.producer(name="p").send(topic, b"plain").get(timeout=300)
    without(how)
    consumer = cluster.consumer(topic, name="c", **READS)
    for start in (0, 1):
        for read in (poll, poll, next, next, poll):
            with pytest.raises(UnreadableError, match=f"(?s)partition 0, offset {start}.*{how}.*seek") as caught:
                read(consumer)
        assert (caught.value.start, caught.value.stop) == (start, start + 1)
        consumer.seek(caught.value.partition, caught.value.stop)
    assert [record.value for records in polled(consumer, 1) for record in records] == [b"plain"]


def test_what_lies_before_it_is_handed_out_first(cluster, without):
    """And nothing twice, also when the partition was paused in the very moment."""
    topic = cluster.create_topic("98-packed")
    for how, value in ((None, b"1"), (None, b"2"), ("lz4", b"x" * 500), (None, b"4")):
        cluster.producer(name="p", compression_type=how).send(topic, value).get(timeout=300)
    without("lz4")
    partition = TopicPartition(topic, 0)
    consumer = cluster.consumer(name="c", **READS)
    consumer.assign([partition])
    assert [record.offset for records in polled(consumer, 2) for record in records] == [0, 1]
    consumer.pause(partition)
    assert consumer.poll(timeout_ms=500) == {}
    consumer.resume(partition)
    for _ in range(2):
        with pytest.raises(UnreadableError, match="offset 2"):
            consumer.poll(timeout_ms=5_000)
    assert consumer.position(partition) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of processor time")
def test_bare_the_second_poll_at_an_unreadable_record_never_returns(cluster, without, python):
    """The first one raises the error."""
    topic = compressed(cluster, "98-packed", "lz4", [b"x" * 500])
    run = python(
        f"""
import os, time
from kafka import KafkaConsumer, codec
codec.lz4 = None
consumer = KafkaConsumer({topic!r}, bootstrap_servers={cluster.bootstrap!r}, auto_offset_reset="earliest")
try:
    while True:
        consumer.poll(timeout_ms=1000)
except Exception as error:
    print(type(error).__name__, flush=True)
import resource
limit = int(time.process_time()) + 2  # processor time: being slow is not enough to meet it
resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
consumer.poll(timeout_ms=500)
print("came back", flush=True)
os._exit(0)
""",
        timeout=300,
    )
    assert run.stdout.splitlines() == ["UnsupportedCodecError"]


@pytest.mark.parametrize("name", [b"\xff", b"na\xefve", "größe".encode("latin-1"), b"ok\xc3"])
@pytest.mark.parametrize("how", [None, "zstd"])
def test_a_header_may_have_any_name(cluster, header_name, name, how):
    """It is read with question marks for what is not UTF-8; key, value and the other headers as they are."""
    topic = cluster.create_topic("98-names")
    headers = [("größe", b"\xff"), (header_name(name), b"1"), ("none", b"")]
    producer = cluster.producer(name="p", compression_type=how, linger_ms=100)
    producer.send(topic, value=name, key=name, headers=headers)
    producer.send(topic, value=b"next", headers=[("h", b"2")]).get(timeout=300)
    first, second = (record for records in polled(cluster.consumer(topic, name="c", **READS), 2) for record in records)
    assert (first.key, first.value) == (name, name)
    legible = "".join("?" if "\udc80" <= each <= "\udcff" else each for each in name.decode(errors="surrogateescape"))
    assert first.headers == [("größe", b"\xff"), (legible, b"1"), ("none", b"")]
    assert (second.value, second.headers) == (b"next", [("h", b"2")])


@pytest.mark.parametrize("how", [None, "snappy"])
def test_what_a_deserializer_raises_comes_again_and_can_be_passed(cluster, how):
    """Its own error, with a note where; the records before it in the same batch are not unpacked by it again."""
    topic = cluster.create_topic("98-json")
    producer = cluster.producer(name="p", compression_type=how, linger_ms=200)
    for value in (b"1", b"no", b"2", b"neither", b"3"):
        sending = producer.send(topic, value)
    sending.get(timeout=300)
    consumer = cluster.consumer(topic, name="c", value_deserializer=json.loads, **READS)
    found = []
    for offset in (1, 3):
        found += [record.value for records in polled(consumer, 1) for record in records]
        for _ in range(2):
            with pytest.raises(ValueError, match="Expecting value") as caught:
                consumer.poll(timeout_ms=5_000)
            assert f"partition 0, offset {offset}; past it" in caught.value.__notes__[0]
        consumer.seek(TopicPartition(topic, 0), offset + 1)
    found += [record.value for records in polled(consumer, 1) for record in records]
    assert found == [1, 2, 3]


def test_it_is_done_once(cluster):
    """A consumer that went through several hands."""
    consumer = cluster.consumer(name="c")
    assert readable(readable(consumer)) is consumer
    assert len([each for each in consumer._fetcher.PartitionRecords.__mro__ if each.__name__ == "_Repaired"]) == 1


def test_bare_a_header_name_that_is_not_utf_8_hides_its_record(cluster, bare, header_name):
    """The name, and not the record, is what cannot be decoded."""
    topic = cluster.create_topic("98-names")
    cluster.producer(name="p").send(topic, b"v", headers=[(header_name(b"\xff"), b"1")]).get(timeout=300)
    consumer = bare(KafkaConsumer, topic, **READS)
    with pytest.raises(CorruptRecordError, match="UnicodeDecodeError"):
        until(lambda: consumer.poll(timeout_ms=1_000), 300, "the record")


# Pausing


def paused_amid_a_batch(cluster, consumer):
    """Read one record of a partition, pause it, read the other one to its end; returns the paused one, and what came.

    Each of the two partitions of `98-paused` has 30 records.
    """
    topic = cluster.create_topic("98-paused", 2)
    producer = cluster.producer(name="p", linger_ms=200)
    for number in range(60):
        producer.send(topic, b"%d" % number, partition=number % 2)
    producer.flush(timeout=300)
    partitions = {TopicPartition(topic, 0), TopicPartition(topic, 1)}
    consumer.assign(partitions)
    first = until(lambda: consumer.poll(timeout_ms=200), 300, "a record")
    (paused,) = first
    (other,) = partitions - {paused}
    consumer.pause(paused)
    came = list(first[paused])

    def read_to_its_end():
        came.extend(record for records in consumer.poll(timeout_ms=200).values() for record in records)
        return consumer.position(other, timeout_ms=5_000) == 30

    until(read_to_its_end, 300, "the other partition to be read")
    assert {record.partition for record in came[1:]} == {other.partition}
    return paused, came


def test_bare_a_resumed_partition_stands_still(cluster, bare):
    """Its records are in the client already, so that one poll would be enough to hand them out."""
    consumer = bare(KafkaConsumer, max_poll_records=1, **READS)
    paused, _ = paused_amid_a_batch(cluster, consumer)
    consumer.resume(paused)
    assert [consumer.poll(timeout_ms=300) for _ in range(5)] == [{}] * 5
    assert consumer.position(paused, timeout_ms=5_000) == 1


def test_a_resumed_partition_is_read_on(cluster, bare):
    """From where it was paused; a partition that the consumer has not got is left alone."""
    consumer = bare(KafkaConsumer, max_poll_records=1, **READS)
    paused, came = paused_amid_a_batch(cluster, consumer)
    kafka_fixes.resume(consumer, [paused, TopicPartition(paused.topic, 7)])
    came += [record for records in polled(consumer, 29) for record in records]
    assert sorted(int(record.value) for record in came) == list(range(60))


# Joining a group


class Noting(ConsumerRebalanceListener):
    """Keeps how many partitions each rebalance assigned."""

    def __init__(self):
        self.assigned = []

    def on_partitions_assigned(self, assigned):
        self.assigned.append(len(assigned))

    def on_partitions_revoked(self, revoked):
        pass


@pytest.mark.parametrize("asks", [False, True])
def test_a_consumer_that_knows_its_topics_gets_partitions_in_its_first_join(cluster, bare, asks):
    """The bare client may get none and join again: if a poll ends in the middle of that, it stays without."""
    topic, firsts = cluster.create_topic("98-joins", 3), set()
    for number in range(40):  # whether the metadata comes before the first join is a race
        consumer, noted = bare(KafkaConsumer, group_id=f"98-joins-{asks}-{number}", **READS), Noting()
        consumer.subscribe([topic], listener=noted)
        if asks:
            kafka_fixes.ask_for_topics(consumer, topic)
        until(lambda consumer=consumer, noted=noted: consumer.poll(timeout_ms=300) or noted.assigned, 300, "it")
        firsts.add(noted.assigned[0])
        if firsts == {0, 3} or (asks and number == 7):
            break
    assert (0 in firsts) is not asks


def test_a_consumer_joins_however_short_its_polls_are(cluster):
    """With a pause between them."""
    topic = cluster.create_topic("98-short")
    for number in range(5):
        consumer = cluster.consumer(topic, name="A", group_id=f"98-short-{number}", **READS)
        until(lambda consumer=consumer: consumer.poll(timeout_ms=30) or consumer.assignment(), 300, "it", every=0.03)


def test_a_consumer_that_has_joined_knows_what_the_broker_has_assigned_to_it(cluster):
    """Not before its first poll, and with the partitions of the last generation, although there were others before."""
    topic, names = cluster.create_topic("98-joined", 3), "ABC"
    consumers = [cluster.consumer(topic, name=name, group_id="98-joined", **READS) for name in names]
    assert not any(map(kafka_fixes.has_joined, consumers))

    def all_joined() -> bool:
        for consumer in consumers:
            consumer.poll(timeout_ms=50)
        return all(map(kafka_fixes.has_joined, consumers)) and cluster.describe("98-joined").stable

    until(all_joined, 300, "A, B and C to join")
    known = [sorted(each.partition for each in consumer.assignment()) for consumer in consumers]
    assert dict(zip(names, known, strict=True)) == cluster.describe("98-joined").owners


def test_a_listener_can_be_set_without_forgetting_what_a_pattern_has_found(cluster, bare):
    """To subscribe again, which is the bare client's only way, forgets it."""
    topic = cluster.create_topic("98-pattern-a")
    consumer = bare(KafkaConsumer, group_id="98-pattern", **READS)
    consumer.subscribe(pattern="98-pattern-.*")
    until(lambda: consumer.poll(timeout_ms=1_000) or consumer.assignment(), 300, "the partition")
    kafka_fixes.listen(consumer, Noting())
    assert consumer.subscription() == {topic}
    consumer.subscribe(pattern="98-pattern-.*", listener=Noting())
    assert not consumer.subscription()


# Ending


class EndlessWaitError(Exception):
    """The client is about to wait for the next record without a limit."""


@pytest.mark.parametrize("ends", [False, True])
def test_an_iteration_can_be_ended(cluster, bare, monkeypatch, ends):
    """The bare client then polls without a limit; a limit can be set only when the consumer is made."""
    topic = cluster.create_topic("98-ends")
    cluster.producer(name="p").send(topic, b"v").get(timeout=300)
    consumer = bare(KafkaConsumer, topic, **READS)
    poll, came = consumer.poll, []

    def watched(timeout_ms, **more):
        if came and timeout_ms == float("inf"):
            raise EndlessWaitError
        return poll(timeout_ms=min(timeout_ms, 1_000), **more)

    monkeypatch.setattr(consumer, "poll", watched)
    with contextlib.nullcontext() if ends else pytest.raises(EndlessWaitError):
        for record in consumer:
            came.append(record.value)
            if ends:
                kafka_fixes.end_iteration(consumer)
    assert came == [b"v"]


# Producers


@pytest.mark.parametrize("rests", [False, True])
def test_an_idle_producer_whose_partition_is_gone_asks_for_no_leader(cluster, bare, rests):
    """The bare sender thread finds a leader missing whenever it looks, and requests metadata in a busy loop.

    It is asked with the metadata of another client, so nothing waits until it has heard of the new topic.
    """
    topic = cluster.create_topic("92-shrinks", 2)
    producer = bare(KafkaProducer, metadata_max_age_ms=200)
    if rests:
        assert kafka_fixes.rest_when_idle(producer) is producer
    producer.send(topic, b"x", partition=1).get(timeout=300)
    cluster.create_topic(topic, 1)
    newcomer = bare(KafkaProducer)
    assert newcomer.partitions_for(topic) == {0}
    _, _, lacks_leaders = producer._accumulator.ready(newcomer._metadata)
    assert lacks_leaders is not rests
    if rests:  # it asks for those that it needs
        later = cluster.create_topic("92-later")
        for each in (topic, later):
            assert producer.send(each, b"y", partition=0).get(timeout=300).offset == 0


@pytest.mark.parametrize("record", [{}, {"value": b"v", "headers": [("name", None)]}])
def test_bare_nulls_cannot_be_sent(cluster, bare, record):
    """Neither a record without key and value, nor a header without value: `librdkafka.py` sends them."""
    topic = cluster.create_topic("98-nulls")
    with pytest.raises((AssertionError, TypeError, ValueError)):
        bare(KafkaProducer).send(topic, **record)


# Administration


def test_the_first_question_about_a_group_waits_for_its_coordinator(runtime):
    """A new cluster has none yet: the bare client raises that, or returns it, where Java's client asks again."""
    with private(settings=runtime.settings) as kafka:
        place = TopicPartition(kafka.create_topic("98-first"), 0)
        offsets = {place: OffsetAndMetadata(7, "", -1)}
        bare = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        with contextlib.closing(bare), pytest.raises(CoordinatorNotAvailableError):
            bare.alter_group_offsets("98-bare", offsets)
        assert kafka.admin().alter_group_offsets("98-group", offsets) == {place: NoError}
        assert kafka.admin().list_group_offsets("98-group")["98-group"][place].offset == 7


def test_a_coordinator_that_does_not_come_is_waited_for_no_longer_than_allowed(runtime):
    """Its topic wants two brokers, and there is one."""
    with private(settings=runtime.settings, offsets_topic_replication_factor="2") as kafka:
        admin = kafka_fixes.await_coordinators(KafkaAdminClient(bootstrap_servers=kafka.bootstrap), at_most_ms=1_000)
        with contextlib.closing(admin), pytest.raises(CoordinatorNotAvailableError):
            admin.describe_groups(["98-group"])


def test_bare_a_group_of_the_newer_protocol_looks_dead(cluster):
    """`groups.py` asks in the group's own protocol."""
    topic, group = cluster.create_topic("98-newer"), "98-newer"
    member = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": group, "group.protocol": "consumer"})
    with contextlib.closing(member):
        member.subscribe([topic])
        until(lambda: member.poll(0.1) or member.assignment(), 300, "the partition")
        assert cluster.admin().describe_groups([group])[group]["group_state"] == "Dead"
        assert len(cluster.describe(group).members) == 1


def test_bare_a_client_that_cannot_connect_keeps_a_thread(python):
    """It can never be closed, because its constructor raised: `metadata.py` asks first, over a plain socket."""
    run = python("""
import os, threading
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
try:
    KafkaAdminClient(bootstrap_servers="127.0.0.1:1", bootstrap_timeout_ms=500)
except KafkaError as error:
    print(type(error).__name__, threading.active_count() > 1, flush=True)
os._exit(0)
""")
    assert run.stdout.split()[1:] == ["True"], run.stdout + run.stderr


@pytest.fixture
def unsent(runtime):
    """A producer with a record that its broker, which is dead, will never get."""
    with private(settings=runtime.settings) as kafka:
        topic = kafka.create_topic("98-unsent")
        producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
        producer.send(topic, b"0").get(timeout=300)
        kafka.broker(1).kill()
        producer.send(topic, b"1")
        yield producer
        producer._sender.force_close()
        producer._closed = True


def test_bare_a_producer_with_unsent_records_is_not_closed(unsent):
    """It raises, its thread runs on, and the next attempt raises again."""
    for _ in range(2):
        with pytest.raises(KafkaTimeoutError):
            unsent.close(timeout=0.2)
    assert unsent._sender.is_alive()
    assert not unsent._closed


def test_a_producer_with_unsent_records_is_closed(unsent):
    """It says that records are lost, and its thread ends."""
    with pytest.raises(KafkaTimeoutError):
        kafka_fixes.close(unsent, timeout=0.2)
    until(lambda: not unsent._sender.is_alive(), 300, "the sender thread to end")
    unsent.close(timeout=0.2)


# Transactions


@pytest.fixture
def rivals(cluster, bare):
    """`rivals(fixed)`: a zombie and its successor, each in a transaction with one record, and their topic."""

    def begun(fixed):
        topic, both = cluster.create_topic("98-rivals"), []
        for value in (b"zombie", b"successor"):
            both.append(bare(KafkaProducer, transactional_id="98-rivals"))
            if fixed:
                kafka_fixes.stays_fenced(both[-1])
            both[-1].init_transactions()
            both[-1].begin_transaction()
            both[-1].send(topic, value).get(timeout=300)
        return *both, topic

    return begun


def test_bare_a_fenced_producer_that_sends_fences_its_successor(cluster, rivals):
    """And aborts its transaction; neither says so plainly."""
    zombie, successor, topic = rivals(False)
    with pytest.raises(InvalidProducerEpochError):
        zombie.send(topic, b"again").get(timeout=300)
    until(lambda: log.read(cluster, topic).number("aborted") == 2, 300, "the end of both transactions")
    with pytest.raises(ProducerFencedError):
        successor.commit_transaction()


def test_a_fenced_producer_says_so_and_does_no_harm(cluster, rivals):
    """Whatever it calls, and as often as it likes."""
    zombie, successor, topic = rivals(True)
    with pytest.raises(ProducerFencedError):
        zombie.send(topic, b"again").get(timeout=300)
    for call in (
        zombie.begin_transaction,
        zombie.commit_transaction,
        zombie.abort_transaction,
        lambda: zombie.send(topic, b"and again"),
        lambda: zombie.send_offsets_to_transaction({}, "98-rivals"),
    ):
        with pytest.raises(ProducerFencedError):
            call()
    successor.commit_transaction()
    log.until_end(cluster, topic, {0: 4})
    assert [each.value for each in log.read(cluster, topic).valid] == [b"successor"]


@pytest.mark.parametrize("method", ["commit_transaction", "abort_transaction", "send_offsets_to_transaction"])
def test_an_answer_that_never_comes_is_unknown_after_a_time(runtime, method):
    """Bare it is awaited for ever. The next producer of this id settles what became of it."""
    with private(settings=runtime.settings) as kafka:
        topic = kafka.create_topic("98-unknown")
        producer = kafka.producer(name="shop", transactional_id="98-shop", max_block_ms=1_000)
        until(lambda: not _timed_out(producer.init_transactions), 300, "the first transaction")
        producer.begin_transaction()
        producer.send(topic, b"1").get(timeout=300)
        offsets = ({TopicPartition(topic, 0): OffsetAndMetadata(1, "", -1)}, "98-group")
        with faults.paused(kafka.broker(1)), pytest.raises(KafkaTimeoutError, match=r"of 98-shop in 1 s: .* unknown"):
            getattr(producer, method)(*(offsets if "offsets" in method else ()))
        kafka.close_client("shop")
        heir = kafka.producer(name="shop", transactional_id="98-shop")
        heir.init_transactions()
        until(lambda: log.read(kafka, topic).number("open") == 0, 300, "the end of the transaction")
        assert len(log.read(kafka, topic).markers) == 1


def _timed_out(call):
    try:
        call()
    except KafkaTimeoutError:
        return True
    return False
