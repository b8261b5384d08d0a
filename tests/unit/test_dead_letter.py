"""Dead letters: what goes in comes out, byte for byte, whatever it is; and the first origin is kept."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.delivery import dead_letter
from labsupport.delivery.dead_letter import DeadLetter, unwrap, wrap
from labsupport.errors import LabError, NotADeadLetterError

NAMES = [*dead_letter.TYPES, dead_letter.NULLS, dead_letter.REDRIVE_ORIGIN, dead_letter.REDRIVE_GROUP]

# Names of our own among them, with all kinds of values: a record may come with such headers from anywhere.
header_names = st.sampled_from(NAMES) | st.text(st.characters(codec="utf-8"), max_size=5)
header_values = st.none() | st.binary(max_size=9) | st.sampled_from([b"value", b"0", b"9", b"value,0"])
headers = st.lists(st.tuples(header_names, header_values), max_size=6)
data = st.none() | st.binary(max_size=20)


def record(**changed) -> ConsumerRecord:
    """A record as kafka-python hands it out."""
    fields = {
        "topic": "09-orders",
        "partition": 2,
        "leader_epoch": 0,
        "offset": 17,
        "timestamp": 1_776_335_400_000,
        "timestamp_type": 0,
        "key": b"ORD-123",
        "value": b"poison",
        "headers": [("event_id", b"7"), ("trace", b"\xff\x00"), ("event_id", b"8")],
        "checksum": None,
        "serialized_key_size": 7,
        "serialized_value_size": 6,
        "serialized_header_size": 0,
    }
    return ConsumerRecord(**fields | changed)


def sent(letter: DeadLetter, **changed) -> ConsumerRecord:
    """The dead letter as a record of its topic; refuses what kafka-python's `send` refuses."""
    key, value, headers = letter.encode()
    assert key is not None or value is not None
    assert all(isinstance(name, str) and isinstance(each, bytes) for name, each in headers)
    coordinates = {"topic": "09-orders-dlt", "partition": 0, "offset": 3, "timestamp": 1_776_400_000_000}
    return record(key=key, value=value, headers=headers, **coordinates | changed)


def test_a_dead_letter_says_what_somebody_needs_in_a_week():
    """The record as it was, where and when it was, who could not process it, how often tried, and why."""
    letter = wrap(record(), ValueError("amount: missing"), 3, "09-payments")
    assert letter == DeadLetter(
        "09-orders", 2, 17, 1_776_335_400_000, "09-payments", "ValueError", "amount: missing", 3,
        b"ORD-123", b"poison", (("event_id", b"7"), ("trace", b"\xff\x00"), ("event_id", b"8")),
    )  # fmt: skip
    assert letter.coordinates == "09-orders/2/17"
    assert unwrap(sent(letter)) == letter


def test_names_and_types_are_those_of_spring():
    """Numbers big endian, text in UTF-8, behind the original's headers."""
    _, _, headers = wrap(record(headers=[("a", b"1")]), KeyError("user"), 5, "zahlungen-ü").encode()
    assert headers == [
        ("a", b"1"),
        ("kafka_dlt-original-topic", b"09-orders"),
        ("kafka_dlt-original-partition", b"\x00\x00\x00\x02"),
        ("kafka_dlt-original-offset", b"\x00\x00\x00\x00\x00\x00\x00\x11"),
        ("kafka_dlt-original-timestamp", struct.pack(">q", 1_776_335_400_000)),
        ("kafka_dlt-original-consumer-group", "zahlungen-ü".encode()),
        ("kafka_dlt-exception-fqcn", b"KeyError"),
        ("kafka_dlt-exception-message", b"'user'"),
        ("kafka_deliveryAttempt", b"\x00\x00\x00\x05"),
    ]


@given(key=data, value=data, headers=headers, offset=st.integers(0, 2**63 - 1), timestamp=st.integers(-1, 2**62))
def test_every_record_comes_back_as_it_was(key, value, headers, offset, timestamp):
    """Nulls, empty bytes, duplicate names, names of our own: sendable by this client, and exact after unwrapping."""
    original = record(key=key, value=value, headers=headers, offset=offset, timestamp=timestamp)
    letter = wrap(original, ValueError("x"), 1, "g")
    again = unwrap(sent(letter))
    assert again == letter
    assert (again.key, again.value, list(again.headers)) == (key, value, headers)


@given(key=data, value=data, headers=headers, times=st.integers(1, 4))
def test_a_dead_letter_of_a_dead_letter_keeps_the_first_origin(key, value, headers, times):
    """However often it fails: the first coordinates, key, value and headers; the newest error, group and attempts."""
    first = letter = wrap(record(key=key, value=value, headers=headers), ValueError("first"), 1, "payments")
    for number in range(times):
        letter = wrap(sent(letter, offset=number), TypeError(f"again {number}"), 2, "repair")
        assert letter.coordinates == first.coordinates
        assert (letter.key, letter.value, letter.headers) == (key, value, tuple(headers))
        assert (letter.error, letter.message, letter.group) == ("TypeError", f"again {number}", "repair")
    assert len(letter.encode()[2]) <= len(headers) + len(dead_letter.TYPES) + 1  # and does not grow


@given(data, data, headers)
def test_any_record_is_a_dead_letter_or_is_not(key, value, headers):
    """Nothing but NotADeadLetterError comes out, whatever stands in the headers."""
    try:
        letter = unwrap(record(key=key, value=value, headers=headers))
    except NotADeadLetterError:
        return
    assert unwrap(sent(letter)) == letter


@pytest.mark.parametrize(
    ("key", "value", "headers", "said"),
    [
        (None, None, [], b"value"),
        (None, None, [("a", None)], b"value,0"),
        (b"k", None, [("a", b""), ("b", None), ("b", None)], b"1,2"),
    ],
)
def test_what_this_client_cannot_send_is_named(key, value, headers, said):
    """A reader of the dead letter topic sees what stands for nothing."""
    letter = wrap(record(key=key, value=value, headers=headers), ValueError(), 1, "g")
    assert dict(letter.encode()[2])[dead_letter.NULLS] == said


def test_a_tombstone_stays_one():
    """A key without a value can be sent, so nothing replaces the missing value."""
    key, value, headers = wrap(record(value=None), ValueError(), 1, "g").encode()
    assert (key, value) == (b"ORD-123", None)
    assert dead_letter.NULLS not in dict(headers)


class UnspeakableError(Exception):
    """Its message cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("x" * 10_000), "x" * 997 + "…"),
        (ValueError("ü" * 10_000), "ü" * 498 + "…"),
        (ValueError("half a pair \ud800"), "half a pair \\ud800"),
        (ValueError(), ""),
        (UnspeakableError(), "(its message raised RuntimeError)"),
    ],
)
def test_the_errors_message_is_bounded(error, said):
    """Whatever the error says, and if it cannot even say it."""
    letter = wrap(record(), error, 1, "g")
    assert letter.message == said
    assert len(said.encode()) <= dead_letter.MESSAGE_BYTES
    assert unwrap(sent(letter)) == letter


def test_an_errors_class_has_its_module():
    """Two classes of one name can be told apart; a builtin needs no module."""
    long = type("X" * 300, (Exception,), {"__module__": "m"})
    assert wrap(record(), NotADeadLetterError(), 1, "g").error == "labsupport.errors.NotADeadLetterError"
    assert wrap(record(), KeyError(), 1, "g").error == "KeyError"
    assert len(wrap(record(), long(), 1, "g").error.encode()) == dead_letter.CLASS_BYTES


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ([], "no header kafka_dlt-original-topic"),
        ([("kafka_dlt-original-topic", b"t")], "no header kafka_dlt-original-partition"),
        ([("kafka_dlt-original-topic", b"\xff")], "not text in UTF-8"),
        ([("kafka_dlt-original-offset", b"17")], "is b'17', not 8 bytes"),
        ([("kafka_dlt-original-partition", None)], "not 4 bytes"),
    ],
)
def test_what_is_no_dead_letter_says_why(headers, said):
    """A header that is missing, or of another type."""
    with pytest.raises(NotADeadLetterError, match=said):
        unwrap(record(headers=headers))


@pytest.mark.parametrize("nulls", [b"nonsense", b"7", b"-1", b"\xff", "²".encode()])
def test_nulls_that_name_nothing_are_refused(nulls):
    """A position that there is not, or something else."""
    key, value, headers = wrap(record(), ValueError(), 1, "g").encode()
    with pytest.raises(NotADeadLetterError, match="lab_dlt-nulls says"):
        unwrap(record(key=key, value=value, headers=[*headers, (dead_letter.NULLS, nulls)]))


def test_springs_own_dead_letters_can_be_read():
    """In whatever order, and without what Spring does not write."""
    headers = [
        ("kafka_dlt-exception-message", b"no"),
        ("kafka_dlt-original-offset", struct.pack(">q", 17)),
        ("kafka_dlt-original-partition", struct.pack(">i", 2)),
        ("event_id", b"7"),
        ("kafka_dlt-original-topic", b"orders"),
    ]
    letter = unwrap(record(headers=headers))
    assert (letter.coordinates, letter.message, letter.attempts) == ("orders/2/17", "no", 0)
    assert letter.headers == (("event_id", b"7"),)


def test_a_redriven_record_is_marked_and_otherwise_as_it_was():
    """The mark says where it lay; after a second redrive both origins are there."""
    letter = wrap(record(headers=[("a", None), ("redrive_origin", b"old/0/1")]), ValueError(), 1, "payments")
    origins = (("redrive_origin", b"old/0/1"), ("redrive_origin", b"09-orders/2/17 1776335400000"))
    assert dead_letter.redriven(letter) == (("a", None), *origins)
    assert dead_letter.first_coordinates(dead_letter.redriven(letter)) == "old/0/1"
    assert dead_letter.first_coordinates([("a", None)]) is None
    addressed = dead_letter.redriven(letter, addressed=True)
    assert addressed[-1] == ("redrive_group", b"payments")
    assert dead_letter.mark_of(addressed) == ("09-orders/2/17", "payments")
    assert dead_letter.mark_of(dead_letter.redriven(letter)) == ("09-orders/2/17", None)
    assert dead_letter.mark_of([("a", b"1")]) is None


def test_only_what_is_addressed_to_another_group_is_for_others():
    """A record that was not redriven, or redriven for all, is for everybody."""
    letter = wrap(record(), ValueError(), 1, "payments")
    for_payments = record(headers=list(dead_letter.redriven(letter, addressed=True)))
    assert dead_letter.for_others(for_payments, "reports")
    assert not dead_letter.for_others(for_payments, "payments")
    assert not dead_letter.for_others(record(headers=list(dead_letter.redriven(letter))), "reports")
    assert not dead_letter.for_others(record(), "reports")


def test_the_topics_name_and_settings():
    """Kept for ever, larger than its origin; a name that Kafka would refuse is refused here."""
    assert dead_letter.topic_of("09-orders") == "09-orders-dlt"
    assert dead_letter.topic_of(dead_letter.topic_of("09-orders")) == "09-orders-dlt-dlt"
    assert dead_letter.topic_settings(2_000_000) == {"retention_ms": -1, "max_message_bytes": 20_000_000}
    assert dead_letter.producer_settings(2_000_000)["max_request_size"] == 20_000_000
    with pytest.raises(LabError, match="no dead letter topic"):
        dead_letter.topic_of("x" * 246)
