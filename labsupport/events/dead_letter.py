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

A record that was redriven has one or two headers more: `redrive_origin`, where its dead letter's record lay
(topic/partition/offset), and `redrive_group`, the only group that is to process it; all others skip it. What failed
again and is redriven again has an origin for each time, the first one in front.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.base import LabError

Headers = tuple[tuple[str, bytes | None], ...]

SUFFIX = "-dlt"
LONGEST_NAME = 249  # of a topic in Kafka

MESSAGE_BYTES = 1_000
CLASS_BYTES = 200

TEXT, INT32, INT64 = "text", ">i", ">q"
TYPES = {
    "kafka_dlt-original-topic": TEXT,
    "kafka_dlt-original-partition": INT32,
    "kafka_dlt-original-offset": INT64,
    "kafka_dlt-original-timestamp": INT64,
    "kafka_dlt-original-consumer-group": TEXT,
    "kafka_dlt-exception-fqcn": TEXT,
    "kafka_dlt-exception-message": TEXT,
    "kafka_deliveryAttempt": INT32,
}
PLACE = tuple(TYPES)[:3]  # without these it is no dead letter; for the others there is a value if they are not known
UNKNOWN = ("", 0, 0, -1, "", "", "", 0)
NULLS = "lab_dlt-nulls"
REDRIVE_ORIGIN, REDRIVE_GROUP = "redrive_origin", "redrive_group"


class NotADeadLetterError(ValueError):
    """A record does not carry what a dead letter carries."""


@dataclass(frozen=True)
class DeadLetter:
    """A record that could not be processed, and what is known about it.

    `topic`, `partition`, `offset`: where it lay first. `timestamp`: its own, in milliseconds since 1970. `group` could
    not process it in `attempts` attempts; the last one ended with an error of class `error`, which said `message`.
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

    @property
    def place(self) -> str:
        """Where the record lay first: topic/partition/offset. Of one record there may be several dead letters."""
        return f"{self.topic}/{self.partition}/{self.offset}"

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
        headers += [(name, _pack(kind, each)) for (name, kind), each in zip(TYPES.items(), values, strict=True)]
        # Also if there is nothing to name, but the original has a header of that name: the last one is ours.
        if nulls or any(name == NULLS for name, _ in self.headers):
            headers.append((NULLS, ",".join(nulls).encode()))
        return self.key, value, headers


def wrap(record: ConsumerRecord, error: BaseException, attempts: int, group: str) -> DeadLetter:
    """The dead letter of a record that `group` could not process; `error` is what ended its last attempt.

    If the record is a dead letter itself, the new one says where it lay first, and carries its key,
    value and headers.
    """
    why = {"group": group, "error": _class_of(error), "message": _said(error), "attempts": attempts}
    try:
        first = unwrap(record)
    except NotADeadLetterError:
        place = (record.topic, record.partition, record.offset, record.timestamp)
        headers = tuple((name, value) for name, value in record.headers)
        return DeadLetter(*place, **why, key=record.key, value=record.value, headers=headers)
    return replace(first, **why)


def unwrap(record: ConsumerRecord) -> DeadLetter:
    """The dead letter in a record, with key, value and headers as they were before it was wrapped.

    Of each name the last header counts: those of the original come first. Raises NotADeadLetterError if one is missing
    that says where it lay, or is of another type.
    """
    last = {name: position for position, (name, _) in enumerate(record.headers)}
    ours = {position for name, position in last.items() if name in TYPES or name == NULLS}
    found = {name: _unpack(name, record.headers[last[name]][1]) for name in TYPES if name in last}
    if missing := [name for name in PLACE if name not in found]:
        raise NotADeadLetterError(f"not a dead letter: it has no header {missing[0]}")
    headers: list[tuple[str, bytes | None]] = [
        header for position, header in enumerate(record.headers) if position not in ours
    ]
    value = record.value
    for null in _nulls(record.headers[last[NULLS]][1] if NULLS in last else b"", len(headers)):
        if null == "value":
            value = None
        else:
            headers[int(null)] = headers[int(null)][0], None
    known = [found.get(name, default) for name, default in zip(TYPES, UNKNOWN, strict=True)]
    return DeadLetter(*known, key=record.key, value=value, headers=tuple(headers))


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
    headers.append((REDRIVE_ORIGIN, letter.place.encode()))
    if addressed:
        headers.append((REDRIVE_GROUP, letter.group.encode()))
    return tuple(headers)


def mark_of(headers: Iterable[tuple[str, bytes | None]]) -> tuple[str, str | None] | None:
    """Of a redriven record: where it lay before, and the only group that it is for, None if it is for all.

    None if it was not redriven.
    """
    found = {name: _origin(value) for name, value in headers}
    return (found[REDRIVE_ORIGIN], found.get(REDRIVE_GROUP)) if REDRIVE_ORIGIN in found else None


def first_place(headers: Iterable[tuple[str, bytes | None]]) -> str | None:
    """Where a redriven record lay at first, before it was redriven at all; None if it was not redriven."""
    return next((_origin(value) for name, value in headers if name == REDRIVE_ORIGIN), None)


def _origin(value: bytes | None) -> str:
    return (value or b"").decode(errors="backslashreplace")


def for_others(record: ConsumerRecord, group: str) -> bool:
    """Whether the record was redriven for another group than this one, which skips it."""
    return any(name == REDRIVE_GROUP and value != group.encode() for name, value in record.headers)


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


def _pack(kind: str, value: Any) -> bytes:
    return value.encode(errors="backslashreplace") if kind == TEXT else struct.pack(kind, value)


def _unpack(name: str, value: bytes | None) -> Any:
    kind = TYPES[name]
    try:
        return (value or b"").decode() if kind == TEXT else struct.unpack(kind, value or b"")[0]
    except (UnicodeDecodeError, struct.error) as error:
        wanted = "text in UTF-8" if kind == TEXT else f"{struct.calcsize(kind)} bytes"
        raise NotADeadLetterError(f"not a dead letter: its header {name} is {value!r:.60}, not {wanted}") from error


def _nulls(listed: bytes | None, headers: int) -> list[str]:
    nulls = [each for each in (listed or b"").decode(errors="replace").split(",") if each]
    for each in nulls:
        if each != "value" and not (each.isascii() and each.isdigit() and int(each) < headers):
            raise NotADeadLetterError(f"not a dead letter: its header {NULLS} says {each!r:.60}")
    return nulls


def _class_of(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return _cut(name, CLASS_BYTES)


def _said(error: BaseException) -> str:
    try:
        return _cut(str(error), MESSAGE_BYTES)
    except Exception as worse:  # an error that cannot even say itself must not keep its dead letter from being written
        return f"(its message raised {type(worse).__name__})"


def _cut(text: str, most: int) -> str:
    """The text, in at most so many bytes of UTF-8, an ellipsis at its end if something is missing."""
    data = text.encode(errors="backslashreplace")
    return data.decode() if len(data) <= most else data[: most - 3].decode(errors="ignore") + "…"
