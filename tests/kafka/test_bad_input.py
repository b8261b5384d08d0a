"""Records that no program expects: to the dead letters and back, byte for byte, on a real broker."""

import random
from contextlib import closing

import pytest
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import MessageSizeTooLargeError

from labsupport import lesson, reading, story
from labsupport.delivery import dead_letter
from labsupport.delivery.error_handler import ErrorHandler
from labsupport.delivery.retry import Policy
from labsupport.delivery.worker import Worker
from labsupport.experiments.breaking import poison
from labsupport.experiments.watching import log
from labsupport.history import redrive
from labsupport.history.librdkafka import ConfluentProducer
from labsupport.shop.event import Event

READS = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
QUICK = Policy(attempts=2, wait_initial=0.01, wait_max=0.01)
BEFORE, AFTER, ODD = story.events(3, seed=1)
LIMIT = 1_048_588  # bytes: Kafka's own `max.message.bytes`


@pytest.fixture(scope="module")
def lab(own_home):
    """A lesson of no notebook."""
    return lesson("97")


@pytest.fixture
def topic(lab):
    """An empty topic of one partition, and one for its dead letters."""
    lab.delete_groups(lab.groups("97-"))
    topic = lab.create_topic("97-odd")
    for _ in range(2):
        topic = lab.create_topic(dead_letter.topic_of(topic), **dead_letter.topic_settings())
    return "97-odd"


@pytest.fixture
def producer(lab):
    """One that sends everything."""
    with closing(ConfluentProducer(lab.bootstrap)) as producer:
        yield producer


def work(lab, topic, group="97-payments", handle=lambda event: None, decode=lambda record: Event.decode(record.value)):
    """A worker with dead letters, to the end of the topic; returns the ids of the events that it processed."""
    done = []
    consumer = lab.consumer(topic, name="A", group_id=group, **READS)
    error_handler = ErrorHandler(lab.producer(name="dead-letters", **dead_letter.producer_settings()), QUICK)

    def tell(moment):
        if moment.kind == "handled":
            done.append(moment.event_id)

    Worker(consumer, handle, decode=decode, hooks=[tell], error_handler=error_handler).run(
        until=reading.at_the_end(consumer)
    )
    lab.close_client("A")
    assert lab.lag(topic, group).total == 0
    return done


def there_and_back(lab, topic, producer, key, value, headers):
    """Send it between two healthy events, let a worker dead-letter it, redrive it; returns the dead letter's record."""
    for wire in (
        (story.key_of(BEFORE), BEFORE.encode(), BEFORE.headers()),
        (key, value, headers),
        (story.key_of(AFTER), AFTER.encode(), AFTER.headers()),
    ):
        producer.send(topic, wire[1], wire[0], wire[2]).get()
    assert work(lab, topic) == [BEFORE.event_id, AFTER.event_id]
    (record,) = log.read(lab, topic + "-dlt").records
    sent = log.read(lab, topic).records[1]
    assert (sent.key, sent.value, sent.headers) == (key, value, list(headers))
    original = dead_letter.original(record)
    assert (original.key, original.value, original.headers) == (key, value, list(headers))
    assert (original.topic, original.partition, original.offset, original.timestamp) == (topic, 0, 1, sent.timestamp)
    report = redrive.redrive(lab.consumer(name="redrive"), producer, redrive.selection(topic + "-dlt"))
    assert report.done == 1
    back = log.read(lab, topic).records[3]
    assert (back.key, back.value) == (key, value)
    assert back.headers == [*headers, ("redrive_origin", dead_letter.unwrap(record).origin.encode())]
    return record


@pytest.mark.parametrize("kind", sorted(poison.KINDS))
def test_poison_of_every_kind_goes_to_the_dead_letters_and_comes_back_as_it_was(lab, topic, producer, kind):
    """Nothing waits behind it, and not a byte of it changes on either way."""
    record = there_and_back(lab, topic, producer, *poison.KINDS[kind](random.Random(1), ODD))
    letter = dead_letter.unwrap(record)
    assert letter.error.endswith(("EventError", "UnknownEventError"))
    assert letter.attempts == 1  # permanent: not tried again


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("undecodable", "not UTF-8: byte 0 is 0xff"),
        ("unknown type", "unknown event XOrderCreated version 1"),
        ("from the future", "unknown event OrderCreated version 99; known versions: [1]"),
        ("missing field", "payload.amount: missing"),
        ("tombstone", "no value"),
        ("nothing", "no value"),
    ],
)
def test_the_dead_letter_says_what_was_wrong(lab, topic, producer, kind, said):
    """In the decoder's own words."""
    order = next(event for event in story.events(20, seed=1) if event.event_type == "OrderCreated")
    key, value, headers = poison.KINDS[kind](random.Random(1), order)
    producer.send(topic, value, key, headers).get()
    work(lab, topic)
    assert said in dead_letter.unwrap(log.read(lab, topic + "-dlt").records[0]).message


def test_a_value_at_the_size_limit_is_dead_lettered_and_redriven(lab, topic, producer):
    """One byte more, and its topic would have refused it; the dead letter is larger than that topic allows."""
    overhead = 61 + 3 + 1 + 1 + 1 + 1 + 1 + 3 + 1  # of the batch, and of a record with a key of one byte
    value = b"x" * (LIMIT - overhead)
    with pytest.raises(MessageSizeTooLargeError):
        producer.send(topic, value + b"x", b"k").get()
    there_and_back_without_mark(lab, topic, producer, value)


def there_and_back_without_mark(lab, topic, producer, value):
    """The record that goes back has a mark, so its topic must allow a little more than when it was sent."""
    producer.send(topic, value, b"k").get()
    assert work(lab, topic) == []
    (record,) = log.read(lab, topic + "-dlt").records
    assert (record.value, dead_letter.original(record).value) == (value, value)
    with pytest.raises(MessageSizeTooLargeError):
        redrive.redrive(lab.consumer(name="redrive"), producer, redrive.selection(topic + "-dlt"))
    set_largest(lab, topic, LIMIT + 200)
    assert redrive.redrive(lab.consumer(name="redrive"), producer, redrive.selection(topic + "-dlt")).done == 1
    assert log.read(lab, topic).records[-1].value == value


def set_largest(lab, topic, size):
    """Give the topic another `max.message.bytes`."""
    lab.admin().alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(size)})])


def test_a_value_that_came_compressed_fits_into_the_dead_letter_topic_uncompressed(lab, topic):
    """Five times the limit, which the original topic stored because it was packed."""
    value = b"x" * (5 * LIMIT)
    with closing(ConfluentProducer(lab.bootstrap, compression_type="gzip")) as packing:
        packing.send(topic, value, b"k").get()
        assert work(lab, topic) == []
        (record,) = log.read(lab, topic + "-dlt").records
        assert record.value == value
        assert redrive.redrive(lab.consumer(name="redrive"), packing, redrive.selection(topic + "-dlt")).done == 1
    assert [each.value for each in log.read(lab, topic).records] == [value, value]


def test_kafka_pythons_producer_leaves_what_it_cannot_send(lab, topic, producer):
    """It is counted, and stays among the dead letters for a producer that can."""
    for name in "nothing", "odd headers", "cut off":
        key, value, headers = poison.KINDS[name](random.Random(1), ODD)
        producer.send(topic, value, key, headers).get()
    work(lab, topic)
    consumer, chosen = lab.consumer(name="redrive"), redrive.selection(topic + "-dlt")
    report = redrive.redrive(consumer, lab.producer(name="back"), chosen)
    assert (report.done, report.skipped) == (1, {"this client cannot send it": 2})
    assert redrive.redrive(consumer, producer, chosen).done == 2


def test_a_dead_letter_that_is_itself_poison_keeps_its_first_origin(lab, topic, producer):
    """A service that repairs dead letters fails at one: its dead letter still says where the record lay first."""
    key, value, headers = poison.KINDS["odd headers"](random.Random(1), ODD)
    producer.send(topic, value, key, headers).get()
    work(lab, topic)

    def repair(letter):
        raise KeyError("no repair for this one")

    work(lab, topic + "-dlt", "97-repair", repair, dead_letter.unwrap)
    (record,) = log.read(lab, topic + "-dlt-dlt").records
    letter = dead_letter.unwrap(record)
    assert (letter.coordinates, letter.group, letter.error, letter.attempts) == (
        f"{topic}/0/0",
        "97-repair",
        "KeyError",
        2,
    )
    assert (letter.key, letter.value, list(letter.headers)) == (key, value, headers)
    assert redrive.redrive(lab.consumer(name="redrive"), producer, redrive.selection(topic + "-dlt-dlt")).done == 1
    assert log.read(lab, topic).records[-1].value == value
    again = redrive.redrive(lab.consumer(name="redrive"), producer, redrive.selection(topic + "-dlt"))
    assert again.skipped == {"sent before": 1}  # the same record, whichever of its dead letters was redriven


@pytest.mark.parametrize("seed", range(4))
def test_poison_at_random_places(lab, seed):
    """Nothing waits: each poison event is dead-lettered unchanged, each healthy one processed once and in order."""
    trial = poison.run_trial(lab, seed)
    assert trial.problems == ()
    assert trial.poison == 10
    assert trial.retries > 0
    assert lab.topics("97-poison") == lab.groups("97-poison") == []
