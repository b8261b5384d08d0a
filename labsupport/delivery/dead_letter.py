"""What a dead letter carries, so that somebody can repair it in a week: wrap and unwrap. Pure. Lesson 09.

A dead letter is the record as it was: key, value and headers byte for byte, and these headers behind them. The names
and the types of the values are Spring Kafka's (but for the last one), so that others' tools can read them:

    kafka_dlt-original-topic            text       where it lay: of a dead letter's dead letter, where it lay first
    kafka_dlt-original-partition        int32      big endian, as all numbers here
    kafka_dlt-original-offset           int64
    kafka_dlt-original-timestamp        int64      milliseconds since 1970: the record's own time
    kafka_dlt-original-consumer-group   text       the group that could not process it
    kafka_dlt-exception-fqcn            text       the error's class
    kafka_dlt-exception-message         text       cut to MESSAGE_BYTES; a stack trace is not carried
    kafka_deliveryAttempt               int32      how often it was tried
    lab_dlt-nulls                       text       what kafka-python cannot send, by name; only if there is such a thing

Text is UTF-8. `lab_dlt-nulls` lists what was null in the original and is empty bytes in the dead letter: `value` for a
record with neither key nor value, and the positions, from 0, of headers without a value; such as `value,0,3`.

Kafka Connect's names for the same, all values text: `__connect.errors.topic`, `.partition`, `.offset`,
`.exception.class.name`, `.exception.message`, `.exception.stacktrace`; and the connector's and task's in place of a
group. It has none for the record's time.

Dead letters of other tools are read as well: see `dialects.py`.

What a record carries that was sent back stands in `marks.py`.
"""

import contextlib
from dataclasses import dataclass, replace
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.delivery.dialects import SPRING, TYPES, UnreadableError, dialect_of, own, pack
from labsupport.delivery.marks import REDRIVE_GROUP, REDRIVE_ORIGIN, Headers, by_place, cut, origin, text
from labsupport.delivery.marks import first_place as first_place
from labsupport.delivery.marks import for_others as for_others
from labsupport.delivery.marks import mark_of as mark_of
from labsupport.errors import LabError, NotADeadLetterError

SUFFIX = "-dlt"
LONGEST_NAME = 249  # of a topic in Kafka

MESSAGE_BYTES = 1_000
CLASS_BYTES = 200

UNKNOWN: dict[str, Any] = {"timestamp": -1, "group": "", "error": "", "message": "", "attempts": 0, "cause": ""}
NULLS = "lab_dlt-nulls"


@dataclass(frozen=True)
class DeadLetter:
    """A record that could not be processed, and what is known about it.

    `topic`, `partition`, `offset`: where it lay first. `timestamp`: its own, in milliseconds since 1970. `group` could
    not process it in `attempts` attempts; the last one ended with an error of class `error`, which said `message`, and
    whose cause was of class `cause`. Not every tool writes all of it: unknown are a timestamp of -1, 0 attempts, and
    texts that are empty.
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
        """The class of the error that was the reason: of the cause, where a tool wraps what was raised in its own."""
        return self.cause or self.error

    @property
    def place(self) -> str:
        """Where the record lay first: topic/partition/offset. Of one record there may be several dead letters."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def origin(self) -> str:
        """What tells its record from every other: place, timestamp and event id, as in `redrive_origin`."""
        return origin(self.place, self.timestamp, self.headers, self.value)

    @property
    def origins(self) -> frozenset[str]:
        """All forms in which a mark can name its record."""
        return frozenset({self.origin, by_place(self.place, self.headers, self.value)})

    def encode(self) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
        """Key, value and headers to send it with; what this client cannot send is mapped, and named in a header."""
        values = (
            self.topic, self.partition, self.offset, self.timestamp, self.group, self.error, self.message, self.attempts
        )  # fmt: skip
        nulls = [str(position) for position, (_, value) in enumerate(self.headers) if value is None]
        value = self.value
        if self.key is None and value is None:
            nulls, value = ["value", *nulls], b""
        headers = [(name, b"" if each is None else each) for name, each in self.headers]
        headers += [(name, pack(kind, each)) for (name, kind), each in zip(TYPES.items(), values, strict=True)]
        # Also if there is nothing to name, but the original has a header of that name: the last one is ours.
        if nulls or any(name == NULLS for name, _ in self.headers):
            headers.append((NULLS, ",".join(nulls).encode()))
        return self.key, value, headers


def wrap(record: ConsumerRecord, error: BaseException, attempts: int, group: str) -> DeadLetter:
    """The dead letter of a record that `group` could not process; `error` is what ended its last attempt.

    If the record is a dead letter itself, the new one says where it lay first, and carries its key,
    value and headers.
    """
    why: dict[str, Any] = {
        "group": group,
        "error": _class_of(error),
        "message": _said(error),
        "attempts": attempts,
        "cause": "",
    }
    try:
        first = unwrap(record)
    except NotADeadLetterError:
        place = (record.topic, record.partition, record.offset, record.timestamp)
        headers = tuple((name, value) for name, value in record.headers)
        return DeadLetter(*place, **why, key=record.key, value=record.value, headers=headers)
    return replace(first, **why)


def unwrap(record: ConsumerRecord) -> DeadLetter:
    """The dead letter in a record, with key, value and headers as they were before it was wrapped.

    Of each name the last header counts: those of the original come first. Raises NotADeadLetterError if nothing says
    where it lay, or it lies there again: then somebody sent it back with these headers, and it is a record as any.
    """
    letter = _unwrap(record)
    if letter.topic == record.topic:
        raise NotADeadLetterError(f"not a dead letter any more: it lies in {letter.topic}, where it came from")
    return letter


def _unwrap(record: ConsumerRecord) -> DeadLetter:
    dialect = dialect_of(record.headers)
    if dialect is None:
        raise NotADeadLetterError(f"not a dead letter: it has no header {SPRING.place[0]}")
    ours = own(dialect, record.headers)
    try:
        found = dialect.read(dict(record.headers[position] for position in ours))
    except UnreadableError as problem:
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
    """The record of which this one is the dead letter, as it was and where it lay. Raises as `unwrap` does."""
    letter = unwrap(record)
    place = {"topic": letter.topic, "partition": letter.partition, "offset": letter.offset}
    content = {"key": letter.key, "value": letter.value, "headers": list(letter.headers)}
    return record._replace(timestamp=letter.timestamp, **place, **content)


# Sent back


def redriven(letter: DeadLetter, addressed: bool = False) -> Headers:
    """The headers of the record that goes back: the original ones and the mark; addressed to its group, or to all."""
    headers = [each for each in letter.headers if each[0] != REDRIVE_GROUP]
    headers.append((REDRIVE_ORIGIN, letter.origin.encode()))
    if addressed:
        headers.append((REDRIVE_GROUP, letter.group.encode()))
    return tuple(headers)


def copied(record: ConsumerRecord) -> set[tuple[str, str | None]]:
    """Of which records this one is a copy that was sent back (`origin`), and the only group it is for, None: for all.

    It says so by its mark; or it lies where a dead letter's record lay and has the headers of that dead letter, as
    other tools send it back.
    """
    copies = set()
    marks = {name: text(value) for name, value in record.headers}
    if (origin := marks.get(REDRIVE_ORIGIN)) is not None:
        if " " not in origin:
            origin = by_place(origin, record.headers, record.value)
        copies.add((origin, marks.get(REDRIVE_GROUP)))
    with contextlib.suppress(NotADeadLetterError):
        letter = _unwrap(record)
        if letter.topic == record.topic:
            timeless = by_place(letter.place, letter.headers, letter.value)
            copies.add((timeless if letter.timestamp == -1 else letter.origin, None))
    return copies


# Topics


def topic_of(topic: str) -> str:
    """The name of the topic for the dead letters of `topic`, as Spring Kafka names it. Raises LabError if too long."""
    if len(topic) + len(SUFFIX) > LONGEST_NAME:
        raise LabError(
            f"The topic {topic[:40]}… can have no dead letter topic.",
            f"its name would have {len(topic) + len(SUFFIX)} characters, and Kafka takes {LONGEST_NAME}",
            f"choose a name of at most {LONGEST_NAME - len(SUFFIX)} characters",
        )
    return topic + SUFFIX


def topic_settings(largest: int = 1_048_588) -> dict[str, int]:
    """Settings of a dead letter topic, with `_` for `.`; `largest` is the `max.message.bytes` of the original topic.

    It keeps its records for ever, and takes much larger ones: a dead letter has more headers than its original, and
    one that came compressed is sent uncompressed.
    """
    return {"retention_ms": -1, "max_message_bytes": 10 * largest}


def producer_settings(largest: int = 1_048_588) -> dict[str, Any]:
    """What the producer of dead letters needs; `largest` as above.

    Acknowledged by all, and given up after 10 s: well within `max_poll_interval_ms`, because the worker waits for it.
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
    except Exception as worse:  # an error that cannot even say itself must not keep its dead letter from being written
        return f"(its message raised {type(worse).__name__})"
