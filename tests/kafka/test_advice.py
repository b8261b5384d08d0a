"""Every client error that a learner is likely to meet has a sentence with the next step. All are raised for real."""

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition, codec
from kafka.admin import MemberToRemove
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.structs import OffsetAndMetadata

from labsupport import advice, lesson, reading
from labsupport.broker import advice as rules
from labsupport.errors import LabError


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("98")


@pytest.fixture(scope="module")
def topic(lab):
    """Takes 1,000 bytes at most, and holds one record."""
    name = lab.topic("advice", max_message_bytes=1_000)
    lab.producer(name="first").send(name, b"1").get(timeout=300)
    return name


@pytest.fixture(scope="module")
def tp(topic):
    """Its one partition."""
    return TopicPartition(topic, 0)


def reader(lab, tp, reset="none", **settings):
    """A consumer that has that partition."""
    consumer = lab.consumer(name="reader", auto_offset_reset=reset, **settings)
    consumer.assign([tp])
    return consumer


def closed(client):
    """The client, closed."""
    client.close()
    return client


def thrown_out(lab, topic):
    """A member that its group no longer knows."""
    member = lab.consumer(topic, name="member", group_id="98-out", auto_offset_reset="earliest")
    reading.join(member)
    (described,) = lab.admin().describe_groups(["98-out"])["98-out"]["members"]
    lab.admin().remove_group_members("98-out", [MemberToRemove(described["member_id"])])
    return member


def joined(lab, topic, name, **settings):
    """A member that has its partitions."""
    member = lab.consumer(topic, name=name, **settings)
    reading.join(member)
    return member


def twins(lab, topic):
    """The first of two members with the same instance id."""
    first, _ = (joined(lab, topic, name, group_id="98-twins", group_instance_id="one") for name in ("t1", "t2"))
    return first


def codec_missing(lab):
    """A producer whose compression library is missing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "snappy", None)
        with pytest.raises(LabError, match="library for that compression_type is missing") as said:
            lab.producer(name="p", compression_type="snappy")
        raise said.value.__cause__


def strangers(lab, topic):
    """A member with a different assignor from the group's, which is not let in."""
    joined(lab, topic, "s1", group_id="98-strangers", partition_assignment_strategy=[RangePartitionAssignor])
    other = {"partition_assignment_strategy": [RoundRobinPartitionAssignor]}
    joined(lab, topic, "s2", group_id="98-strangers", **other)


def one(tp, offset=1):
    """What to commit."""
    return {tp: OffsetAndMetadata(offset, "", -1)}


def send(lab, topic, settings=None, **record):
    """Send and wait for the outcome."""
    return lab.producer(name="p", **(settings or {})).send(topic, **record).get(timeout=300)


CASES = {
    "text for bytes": (lambda lab, topic, tp: send(lab, topic, value="1"), "takes bytes"),
    "text for a key": (lambda lab, topic, tp: send(lab, topic, value=b"1", key="k"), "takes bytes"),
    "neither key nor value": (lambda lab, topic, tp: send(lab, topic), "neither"),
    "header with text": (lambda lab, topic, tp: send(lab, topic, value=b"1", headers=[("a", "b")]), "pairs of text"),
    "header of None": (lambda lab, topic, tp: send(lab, topic, value=b"1", headers=[("a", None)]), "pairs of text"),
    "headers as a dict": (lambda lab, topic, tp: send(lab, topic, value=b"1", headers={"a": b"b"}), "pairs of text"),
    "too large, client": (lambda lab, topic, tp: send(lab, topic, value=b"x" * 2_000_000), "client refused it"),
    "too large, broker": (lambda lab, topic, tp: send(lab, topic, value=b"x" * 2_000), "broker refused it"),
    "no such partition": (lambda lab, topic, tp: send(lab, topic, value=b"1", partition=7), "no such partition"),
    "no such topic": (
        lambda lab, topic, tp: send(lab, "98-nowhere", {"max_block_ms": 500}, value=b"1"), "was it created"),
    "a bad name": (lambda lab, topic, tp: send(lab, "no topic!", value=b"1"), "letters, digits"),
    "no answer yet": (
        lambda lab, topic, tp: lab.producer(name="p", linger_ms=9_000).send(topic, b"1").get(timeout=0.1),
        "Unknown:"),
    "closed producer": (lambda lab, topic, tp: closed(lab.producer(name="p")).send(topic, b"1"), "was closed"),
    "nobody listens": (
        lambda lab, topic, tp: KafkaProducer(bootstrap_servers="127.0.0.1:1", bootstrap_timeout_ms=500), "listens"),
    "a codec that is missing": (lambda lab, topic, tp: codec_missing(lab), "is missing"),
    "a misspelt setting": (lambda lab, topic, tp: KafkaProducer(lingerms=1), "misspelt"),
    "misspelt reset": (
        lambda lab, topic, tp: list(reading.to_the_end(reader(lab, tp, "earlest", group_id="98-x"))), "earliest"),
    "seek outside": (
        lambda lab, topic, tp: [(r := reader(lab, tp)).seek(tp, 99), list(reading.to_the_end(r))], "seek()"),
    "seek below 0": (lambda lab, topic, tp: reader(lab, tp).seek(tp, -1), "counts from 0"),
    "seek elsewhere": (lambda lab, topic, tp: reader(lab, tp).seek(TopicPartition(topic, 9), 0), "assign"),
    "position elsewhere": (lambda lab, topic, tp: reader(lab, tp).position(TopicPartition(topic, 9)), "poll()"),
    "commit refused": (lambda lab, topic, tp: thrown_out(lab, topic).commit(one(tp)), "refused the commit"),
    "commit without group": (lambda lab, topic, tp: reader(lab, tp).commit(one(tp)), "group_id"),
    "commit a number": (
        lambda lab, topic, tp: reader(lab, tp, group_id="98-n").commit({tp: 1}), "after(record)"),
    "session too short": (
        lambda lab, topic, tp: joined(
            lab, topic, "m", group_id="98-s", session_timeout_ms=500, heartbeat_interval_ms=100
        ), "1 s to 30 min"),
    "heartbeat too slow": (
        lambda lab, topic, tp: KafkaConsumer(**lab.config("consumer", group_id="98-h", heartbeat_interval_ms=6_000)),
        "a third"),
    "one instance id for two": (lambda lab, topic, tp: twins(lab, topic).commit(one(tp)), "member needs its own"),
    "no assignor in common": (lambda lab, topic, tp: strangers(lab, topic), "in common"),
    "an assignor's name": (
        lambda lab, topic, tp: lab.consumer(
            topic, name="m", group_id="98-a", partition_assignment_strategy=["range"]), "classes, in a list"),
    "closed consumer polls": (lambda lab, topic, tp: closed(reader(lab, tp)).poll(), "was closed"),
    "closed consumer commits": (
        lambda lab, topic, tp: closed(reader(lab, tp, group_id="98-c")).commit(one(tp)), "was closed"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_an_error_has_its_sentence(case, lab, topic, tp):
    """It says what happened and what to do."""
    action, phrase = CASES[case]
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one it is, is the point
        action(lab, topic, tp)
    assert phrase in advice(caught.value), f"{type(caught.value).__name__}: {caught.value}"


def test_what_is_not_the_clients_is_left_alone():
    """A TypeError of the learner's own, an error of the lab's."""
    with pytest.raises(TypeError) as caught:
        _ = "1" + 1
    assert advice(caught.value) == ""
    assert advice(TypeError("Unsupported type for serialized value: <class 'str'>")) == ""
    assert advice(LabError("tried")) == ""


def test_every_sentence_ends_and_is_no_essay():
    """One or two sentences; none twice for the same words."""
    for _, _, meaning in rules.MEANINGS:
        assert meaning.endswith((".", "?", "status"))
        assert len(meaning.split()) <= 40
    assert len({(kind, words) for kind, words, _ in rules.MEANINGS}) == len(rules.MEANINGS)


def test_in_a_notebook_the_sentence_stands_below_the_error(kernel):
    """After the stack, where a reader looks first; a check of a name that does not exist still says its own."""
    notebook = kernel()
    notebook.run('from labsupport import lesson; lab = lesson("98"); topic = lab.topic("notes")')
    printed = notebook.run('lab.producer(name="p").send(topic, value="text")')
    assert "Unsupported type" in printed
    assert printed.rstrip().endswith("encode text with .encode(), an event with event.encode().")
    assert "What it means" not in notebook.run('"1" + 1')
    assert "send_and_know does not exist yet" in notebook.run('lab.check("03-1", send_and_know)')
