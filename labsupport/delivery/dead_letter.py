"""Dead letters: wrap a record with the reason of its failure, and unwrap it. Pure. Lesson 09.

A dead letter is the original record, with key, value and headers byte for byte, followed by these headers. Their names
and types are Spring Kafka's (except the last), so that other tools can read them:

    kafka_dlt-original-topic            text       the record's; for a dead letter's dead letter, the first record's
    kafka_dlt-original-partition        int32      big endian, like all numbers here
    kafka_dlt-original-offset           int64
    kafka_dlt-original-timestamp        int64      milliseconds since 1970: the record's own time
    kafka_dlt-original-consumer-group   text       the group that could not process it
    kafka_dlt-exception-fqcn            text       the error's class
    kafka_dlt-exception-message         text       cut to MESSAGE_BYTES; stack traces are left out
    kafka_deliveryAttempt               int32      the number of attempts
    lab_dlt-nulls                       text       what kafka-python cannot send; only if there is something

Text is UTF-8. `lab_dlt-nulls` lists what was null in the original and is empty bytes in the dead letter: `value` for a
record with neither key nor value, and the positions, from 0, of headers without a value, such as `value,0,3`.

Kafka Connect names its headers `__connect.errors.topic`, `.partition`, `.offset`, `.exception.class.name`,
`.exception.message` and `.exception.stacktrace`, and writes all values as text. It has connector and task instead of a
group, and no header for the record's time.

`dead_letter_dialects.py` reads other tools' dead letters. `redrive_mark.py` describes the mark of a redriven record.
"""

import contextlib
from dataclasses import dataclass, replace
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.delivery.dead_letter_dialects import SPRING, TYPES, dialect_of, own, pack
from labsupport.delivery.redrive_mark import REDRIVE_GROUP, REDRIVE_ORIGIN, Headers, by_coordinates, cut, origin, text
from labsupport.delivery.redrive_mark import first_coordinates as first_coordinates
from labsupport.delivery.redrive_mark import for_others as for_others
from labsupport.delivery.redrive_mark import mark_of as mark_of
from labsupport.errors import LabError, NotADeadLetterError, UnknownOriginError

SUFFIX = "-dlt"
LONGEST_NAME = 249  # of a topic in Kafka

MESSAGE_BYTES = 1_000
CLASS_BYTES = 200

UNKNOWN: dict[str, Any] = {"timestamp": -1, "group": "", "error": "", "message": "", "attempts": 0, "cause": ""}
NULLS = "lab_dlt-nulls"


@dataclass(frozen=True)
class DeadLetter:
    """A record that could not be processed, and what is known about it.

    `topic`, `partition` and `offset` are its first coordinates, `timestamp` its own (milliseconds since 1970). `group`
    failed to process it in `attempts` attempts; the last one raised an error of class `error` with `message`, whose
    cause was of class `cause`. Not every tool writes all fields: a timestamp of -1, 0 attempts and empty texts mean
    unknown.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    group: str
    error: str
    message: str
    attempts: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    cause: str = ""

    @property
    def reason(self) -> str:
        """The class of the actual error: the cause's, for tools that wrap errors in their own class."""
        return self.cause or self.error

    @property
    def coordinates(self) -> str:
        """The record's first topic/partition/offset. One record may have several dead letters."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def origin(self) -> str:
        """Identifies the record: coordinates, timestamp and event id, as in `redrive_origin`."""
        return origin(self.coordinates, self.timestamp, self.headers, self.value)

    @property
    def origins(self) -> frozenset[str]:
        """All forms in which a mark can identify the record."""
        return frozenset({self.origin, by_coordinates(self.coordinates, self.headers, self.value)})

    def encode(self) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
        """Key, value and headers to send. What kafka-python cannot send is replaced, and named in a header."""
        values = (
            self.topic, self.partition, self.offset, self.timestamp, self.group, self.error, self.message, self.attempts
        )  # fmt: skip
        nulls = [str(position) for position, (_, value) in enumerate(self.headers) if value is None]
        value = self.value
        if self.key is None and value is None:
            nulls, value = ["value", *nulls], b""
        headers = [(name, b"" if each is None else each) for name, each in self.headers]
        headers += [(name, pack(kind, each)) for (name, kind), each in zip(TYPES.items(), values, strict=True)]
        # Also added, empty, if the original has a header of that name: the last one is ours.
        if nulls or any(name == NULLS for name, _ in self.headers):
            headers.append((NULLS, ",".join(nulls).encode()))
        return self.key, value, headers


def wrap(record: ConsumerRecord, error: BaseException, attempts: int, group: str) -> DeadLetter:
    """The dead letter of a record that `group` could not process; `error` ended the last attempt.

    If the record is itself a dead letter, the new one has the coordinates, key, value and headers of
    the first record.
    """
    why: dict[str, Any] = {"group": group, "attempts": attempts, "cause": ""}
    why |= {"error": _class_of(error), "message": _said(error)}
    try:
        first = unwrap(record)
    except NotADeadLetterError:
        where = (record.topic, record.partition, record.offset, record.timestamp)
        headers = tuple((name, value) for name, value in record.headers)
        return DeadLetter(*where, **why, key=record.key, value=record.value, headers=headers)
    return replace(first, **why)


def unwrap(record: ConsumerRecord) -> DeadLetter:
    """The dead letter in a record, with key, value and headers as they were before wrapping.

    The last header of each name counts, because the original's come first. Raises NotADeadLetterError if the headers
    name no coordinates, or if the record is back in its topic: then somebody sent it back with these headers.
    """
    letter = _unwrap(record)
    if letter.topic == record.topic:
        raise NotADeadLetterError(f"not a dead letter any more: it lies in {letter.topic}, where it came from")
    return letter


def _unwrap(record: ConsumerRecord) -> DeadLetter:
    dialect = dialect_of(record.headers)
    if dialect is None:
        raise NotADeadLetterError(f"not a dead letter: it has no header {SPRING.coordinates[0]}")
    ours = own(dialect, record.headers)
    try:
        found = dialect.read(dict(record.headers[position] for position in ours))
    except UnknownOriginError as problem:
        whose = "" if dialect is SPRING else f", by its headers one of {dialect.tool}"
        raise NotADeadLetterError(f"not a dead letter{whose}: {problem}") from problem
    if dialect.keeps_time and found["topic"] != record.topic:
        found["timestamp"] = record.timestamp
    nulls = b""
    after = ours[-1] + 1
    if len(ours) == len(TYPES) and after < len(record.headers) and record.headers[after][0] == NULLS:
        nulls = record.headers[after][1] or b""
        ours.append(after)
    headers: list[tuple[str, bytes | None]] = [
        header for position, header in enumerate(record.headers) if position not in ours
    ]
    value = record.value
    for null in _nulls(nulls, len(headers)):
        if null == "value":
            value = None
        else:
            headers[int(null)] = headers[int(null)][0], None
    return DeadLetter(**UNKNOWN | found, key=record.key, value=value, headers=tuple(headers))


def original(record: ConsumerRecord) -> ConsumerRecord:
    """The original of this dead letter, with its first coordinates. Raises as `unwrap` does."""
    letter = unwrap(record)
    where = {"topic": letter.topic, "partition": letter.partition, "offset": letter.offset}
    content = {"key": letter.key, "value": letter.value, "headers": list(letter.headers)}
    return record._replace(timestamp=letter.timestamp, **where, **content)


# Redriving


def redriven(letter: DeadLetter, addressed: bool = False) -> Headers:
    """The headers of a record that is sent back: the original ones and the mark, for its group or for all."""
    headers = [each for each in letter.headers if each[0] != REDRIVE_GROUP]
    headers.append((REDRIVE_ORIGIN, letter.origin.encode()))
    if addressed:
        headers.append((REDRIVE_GROUP, letter.group.encode()))
    return tuple(headers)


def copied(record: ConsumerRecord) -> set[tuple[str, str | None]]:
    """The records (`origin`) of which this one is a redriven copy, each with its only group; None means all groups.

    A copy has a mark, or lies in its original topic with the headers of a dead letter, as other tools send it back.
    """
    copies = set()
    marks = {name: text(value) for name, value in record.headers}
    if (origin := marks.get(REDRIVE_ORIGIN)) is not None:
        if " " not in origin:
            origin = by_coordinates(origin, record.headers, record.value)
        copies.add((origin, marks.get(REDRIVE_GROUP)))
    with contextlib.suppress(NotADeadLetterError):
        letter = _unwrap(record)
        if letter.topic == record.topic:
            timeless = by_coordinates(letter.coordinates, letter.headers, letter.value)
            copies.add((timeless if letter.timestamp == -1 else letter.origin, None))
    return copies


# Topics


def topic_of(topic: str) -> str:
    """The dead letter topic of `topic`, named as Spring Kafka does. Raises LabError if the name is too long."""
    if len(topic) + len(SUFFIX) > LONGEST_NAME:
        raise LabError(
            f"The topic {topic[:40]}… can have no dead letter topic.",
            f"its name would have {len(topic) + len(SUFFIX)} characters, and Kafka takes {LONGEST_NAME}",
            f"choose a name of at most {LONGEST_NAME - len(SUFFIX)} characters",
        )
    return topic + SUFFIX


def topic_settings(largest: int = 1_048_588) -> dict[str, Any]:
    """Settings of a dead letter topic, with `_` for `.`; `largest` is the original topic's `max.message.bytes`.

    The topic keeps its records for ever and takes much larger ones: a dead letter has more headers than its original,
    and a compressed original is sent uncompressed.
    """
    return {"retention_ms": -1, "max_message_bytes": 10 * largest}


def producer_settings(largest: int = 1_048_588) -> dict[str, Any]:
    """Settings of a producer of dead letters; `largest` as above.

    All replicas acknowledge. It gives up after 10 s, well within `max_poll_interval_ms`, because the worker waits.
    """
    limits = {"max_request_size": 10 * largest, "max_block_ms": 5_000, "delivery_timeout_ms": 10_000}
    return {"acks": "all", "enable_idempotence": True, "request_timeout_ms": 5_000} | limits


# Values of headers


def _nulls(listed: bytes | None, headers: int) -> list[str]:
    nulls = [each for each in (listed or b"").decode(errors="replace").split(",") if each]
    for each in nulls:
        if each != "value" and not (each.isascii() and each.isdigit() and int(each) < headers):
            raise NotADeadLetterError(f"not a dead letter: its header {NULLS} says {each!r:.60}")
    return nulls


def _class_of(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return cut(name, CLASS_BYTES)


def _said(error: BaseException) -> str:
    try:
        return cut(str(error), MESSAGE_BYTES)
    except Exception as worse:  # an error without a message must not prevent its dead letter
        return f"(its message raised {type(worse).__name__})"
