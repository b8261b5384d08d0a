"""Dead letters of other tools, written by hand after their sources: what they say, and the record as it was."""

import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.delivery import dead_letter
from labsupport.delivery.dead_letter import unwrap, wrap
from labsupport.delivery.record_time import moment, time_in_words
from labsupport.errors import NotADeadLetterError

OWN = [("event_id", b"7"), ("trace", b"\xff\x00"), ("event_id", b"8")]
TRACE = b"java.lang.IllegalStateException: no\n\tat a.b.C.d(C.java:1)"


def spring(prefix="kafka_dlt-", *more):
    """What DeadLetterPublishingRecoverer adds, in its order, after the retries of a blocking error handler."""
    return [
        (f"{prefix}original-topic", b"orders"),
        (f"{prefix}original-partition", struct.pack(">i", 2)),
        (f"{prefix}original-offset", struct.pack(">q", 17)),
        (f"{prefix}original-timestamp", struct.pack(">q", 1_776_335_400_000)),
        (f"{prefix}original-timestamp-type", b"CreateTime"),
        ("kafka_dlt-original-consumer-group", b"payments"),
        (f"{prefix}exception-fqcn", b"org.springframework.kafka.listener.ListenerExecutionFailedException"),
        (f"{prefix}exception-cause-fqcn", b"java.lang.IllegalStateException"),
        (f"{prefix}exception-message", b"Listener failed"),
        (f"{prefix}exception-stacktrace", TRACE),
        *more,
    ]


RETRYABLE = spring(
    "kafka_",
    ("retry_topic-original-timestamp", b"\x01\x9d\x93\xcb\x3b\xc0"),
    ("retry_topic-attempts", struct.pack(">i", 2)),
    ("retry_topic-backoff-timestamp", b"\x01\x9d\x93\xcb\x3b\xc1"),
    ("retry_topic-original-timestamp", b"\x01\x9d\x93\xcb\x3b\xc0"),
    ("retry_topic-attempts", struct.pack(">i", 3)),
    ("retry_topic-backoff-timestamp", b"\x01\x9d\x93\xcb\x3b\xc2"),
)
CONNECT = [
    ("__connect.errors.topic", b"orders"),
    ("__connect.errors.partition", b"2"),
    ("__connect.errors.offset", b"17"),
    ("__connect.errors.connector.name", b"to-the-bank"),
    ("__connect.errors.task.id", b"0"),
    ("__connect.errors.stage", b"VALUE_CONVERTER"),
    ("__connect.errors.class.name", b"org.apache.kafka.connect.json.JsonConverter"),
    ("__connect.errors.exception.class.name", b"org.apache.kafka.connect.errors.DataException"),
    ("__connect.errors.exception.message", b"Converting byte[] failed"),
    ("__connect.errors.exception.stacktrace", TRACE),
]
STREAMS = [
    ("__streams.errors.exception", b"java.lang.NullPointerException"),
    ("__streams.errors.message", None),
    ("__streams.errors.stacktrace", TRACE),
    ("__streams.errors.topic", b"orders"),
    ("__streams.errors.partition", b"2"),
    ("__streams.errors.offset", b"17"),
]
CLOUD = [
    ("x-original-topic", b"orders"),
    ("x-original-partition", struct.pack(">i", 2)),
    ("x-original-offset", struct.pack(">q", 17)),
    ("x-original-timestamp", struct.pack(">q", 1_776_335_400_000)),
    ("x-original-timestamp-type", b"CreateTime"),
    ("x-exception-fqcn", b"java.lang.IllegalStateException"),
    ("x-exception-message", b"no"),
    ("x-exception-stacktrace", TRACE),
]
QUARKUS = [
    ("dead-letter-exception-class-name", b"java.lang.RuntimeException"),
    ("dead-letter-cause-class-name", b"java.io.IOException"),
    ("dead-letter-reason", b"Something went wrong"),
    ("dead-letter-cause", b"disk"),
    ("dead-letter-topic", b"orders"),
    ("dead-letter-partition", b"2"),
    ("dead-letter-offset", b"17"),
]
KNOWN = {
    "Spring": (spring(), "payments", "java.lang.IllegalStateException", 0, 1_776_335_400_000),
    "Spring with attempts": (
        spring("kafka_dlt-", ("kafka_deliveryAttempt", struct.pack(">i", 10)), ("kafka_listenerInfo", b"mine")),
        "payments", "java.lang.IllegalStateException", 10, 1_776_335_400_000,
    ),
    "RetryableTopic": (RETRYABLE, "payments", "java.lang.IllegalStateException", 3, 1_776_335_400_000),
    "Connect": (CONNECT, "connect-to-the-bank", "org.apache.kafka.connect.errors.DataException", 0, 1_776_400_000_000),
    "Streams": (STREAMS, "", "java.lang.NullPointerException", 0, 1_776_400_000_000),
    "Cloud Stream": (CLOUD, "", "java.lang.IllegalStateException", 0, 1_776_335_400_000),
    "Quarkus": (QUARKUS, "", "java.io.IOException", 0, -1),
}  # fmt: skip


def record(headers, *, topic, offset=3, key=b"ORD-123", value=b"poison", timestamp=1_776_335_400_000):
    """A record as kafka-python hands it out."""
    return ConsumerRecord(topic, 2, 0, offset, timestamp, 0, key, value, headers, None, -1, -1, -1)


def dead(headers, **changed):
    """A record of a dead letter topic."""
    return record(headers, topic="orders-dlt", timestamp=1_776_400_000_000, **changed)


@pytest.mark.parametrize("tool", KNOWN)
def test_it_is_read_and_nothing_of_it_stays_behind(tool):
    """Where the record lay, who failed, the cause's class; its headers exactly as they were."""
    headers, group, reason, attempts, timestamp = KNOWN[tool]
    letter = unwrap(dead([*OWN, *headers]))
    assert (letter.coordinates, letter.group, letter.reason) == ("orders/2/17", group, reason)
    assert (letter.attempts, letter.timestamp) == (attempts, timestamp)
    assert letter.headers == tuple(OWN)
    assert dead_letter.redriven(letter)[:-1] == tuple(OWN)


@pytest.mark.parametrize("tool", KNOWN)
def test_if_the_labs_worker_cannot_process_it_either_it_says_where_it_lay_first(tool):
    """And carries the record, not the other tool's headers."""
    letter = wrap(dead([*OWN, *KNOWN[tool][0]]), KeyError("user"), 3, "repair")
    assert (letter.coordinates, letter.group, letter.reason, letter.headers) == (
        "orders/2/17", "repair", "KeyError", tuple(OWN),
    )  # fmt: skip
    key, value, headers = letter.encode()
    assert unwrap(dead(headers, key=key, value=value)) == letter


@pytest.mark.parametrize("tool", KNOWN)
def test_an_original_with_the_headers_of_a_tool_keeps_them(tool):
    """What another tool sent back with all headers is a record as any: the lab's dead letter takes only its own."""
    original = record([*OWN, *KNOWN[tool][0]], topic="orders", offset=90)
    letter = wrap(original, KeyError("user"), 3, "payments")
    assert letter.coordinates == "orders/2/90"
    key, value, headers = letter.encode()
    again = unwrap(dead(headers, key=key, value=value))
    assert again == letter
    assert list(again.headers) == original.headers
    origins = unwrap(dead([*OWN, *KNOWN[tool][0]])).origins
    assert {(origin, None) for origin in origins} & dead_letter.copied(original)


@given(st.permutations(list(KNOWN)), st.data())
def test_headers_in_any_order_and_cut_anywhere_never_raise_anything_else(order, data):
    """Of the tool whose origin header comes last; or no dead letter."""
    headers = [each for tool in order[:3] for each in KNOWN[tool][0]]
    headers = data.draw(st.lists(st.sampled_from(headers), max_size=12))
    values = st.none() | st.binary(max_size=9)
    headers = [(name, data.draw(values) if data.draw(st.booleans()) else value) for name, value in headers]
    try:
        letter = unwrap(dead(headers))
    except NotADeadLetterError:
        return
    key, value, encoded = letter.encode()
    again = unwrap(dead(encoded, key=key, value=value))
    assert (again.coordinates, again.headers) == (letter.coordinates, letter.headers)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        (CONNECT[1:], "by its headers one of Kafka Connect: it has no header __connect.errors.topic"),
        (CONNECT[3:], "by its headers one of Kafka Connect: it has no header __connect.errors.topic"),
        (STREAMS[:4], "by its headers one of Kafka Streams: it has no header __streams.errors.partition"),
        ([*STREAMS[:5], ("__streams.errors.offset", b"many")], "is b'many', not a whole number"),
        ([(CONNECT[0][0], b""), (CONNECT[1][0], b"-1"), (CONNECT[2][0], b"-1")], "name no record"),
        (RETRYABLE[6:], "Spring Kafka with @RetryableTopic: it has no header kafka_original-topic"),
        (RETRYABLE[10:11], "@RetryableTopic: it has no header kafka_original-topic"),
        (spring()[4:5], "not a dead letter: it has no header kafka_dlt-original-topic"),
    ],
)
def test_whose_it_is_and_what_is_missing_is_named(headers, said):
    """Rather than that it is none."""
    with pytest.raises(NotADeadLetterError) as caught:
        unwrap(dead([*OWN, *headers]))
    assert said in str(caught.value)


def test_the_key_could_not_be_read():
    """Spring names that error apart."""
    headers = [(name.replace("exception", "key-exception", 1), value) for name, value in spring()[:-3]]
    letter = unwrap(dead([*headers, ("kafka_dlt-key-exception-message", b"no key")]))
    assert letter.error.endswith("ListenerExecutionFailedException")
    assert letter.message == "no key"


def test_a_header_that_says_nothing_of_the_place_may_be_anything():
    """An error message that is not UTF-8, a timestamp of four bytes: both are unknown, and the letter is kept."""
    headers = [*spring()[:3], ("kafka_dlt-original-timestamp", b"1234"), ("kafka_dlt-exception-message", b"\xff")]
    letter = unwrap(dead(headers))
    assert (letter.timestamp, letter.message, letter.headers) == (-1, "\\xff", ())


@pytest.mark.parametrize(
    ("timestamp", "shown"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_776_335_400_000, "2026-04-16T10:30:00Z"),
        (-1, "unknown time"),
        (-2, "unknown time (its timestamp, -2, is not in milliseconds)"),
        (1_795_649_824_000_000, "unknown time (its timestamp, 1795649824000000, is not in milliseconds)"),
        (2**63 - 1, "unknown time (its timestamp, 9223372036854775807, is not in milliseconds)"),
    ],
)
def test_a_timestamp_that_is_no_time_is_said_to_be_unknown(timestamp, shown):
    """Never 1969, and never an error."""
    assert time_in_words(timestamp) == shown


def test_the_last_millisecond_that_there_is():
    """The bound of Python's own."""
    last = 253_402_300_799_999
    assert moment(last) == datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
    assert moment(last + 1) is None
