"""Records that this client cannot read, on a real broker: each poll says so, and what lies behind them can be had."""

import json
import sys

import pytest
from kafka import TopicPartition, codec

from labsupport.kafka_fixes import UnreadableError, readable

READS = {"auto_offset_reset": "earliest", "enable_auto_commit": False}


def compressed(cluster, name, how, values):
    """A topic of one partition with a batch of its own for each value, compressed by `how`."""
    topic = cluster.create_topic(name)
    producer = cluster.producer(name="p", compression_type=how)
    for value in values:
        producer.send(topic, value).get(timeout=10)
    return topic


@pytest.fixture
def without(monkeypatch):
    """`without("snappy")`: as in an environment that has not got that library."""
    return lambda name: monkeypatch.setattr(codec, name, None)


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
    cluster.producer(name="p").send(topic, b"plain").get(timeout=10)
    without(how)
    consumer = cluster.consumer(topic, name="c", **READS)
    for start in (0, 1):
        for read in (poll, poll, next, next, poll):
            with pytest.raises(UnreadableError, match=f"(?s)partition 0, offset {start}.*{how}.*seek") as caught:
                read(consumer)
        assert (caught.value.start, caught.value.stop) == (start, start + 1)
        consumer.seek(caught.value.place, caught.value.stop)
    assert [record.value for records in polled(consumer, 1) for record in records] == [b"plain"]


def test_what_lies_before_it_is_handed_out_first(cluster, without):
    """And nothing twice, also when the partition was paused in the very moment."""
    topic = cluster.create_topic("98-packed")
    for how, value in ((None, b"1"), (None, b"2"), ("lz4", b"x" * 500), (None, b"4")):
        cluster.producer(name="p", compression_type=how).send(topic, value).get(timeout=10)
    without("lz4")
    place = TopicPartition(topic, 0)
    consumer = cluster.consumer(name="c", **READS)
    consumer.assign([place])
    assert [record.offset for records in polled(consumer, 2) for record in records] == [0, 1]
    consumer.pause(place)
    assert consumer.poll(timeout_ms=500) == {}
    consumer.resume(place)
    for _ in range(2):
        with pytest.raises(UnreadableError, match="offset 2"):
            consumer.poll(timeout_ms=5_000)
    assert consumer.position(place) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of processor time")
def test_without_the_repair_the_second_poll_never_returns(cluster, without, python):
    """What is worked around; the day it is mended in the client, this module can go."""
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
    producer.send(topic, value=b"next", headers=[("h", b"2")]).get(timeout=10)
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
    sending.get(timeout=10)
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
