"""Other tools' dead letters: the headers that each tool writes, and what they mean. Pure. Lessons 09 and 10.

The lab writes Spring Kafka's headers (`dead_letter.py`) and reads those of the tools below too. The header names come
from the tools' sources.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from labsupport.errors import UnknownOriginError

Pairs = Sequence[tuple[str, bytes | None]]

COORDINATES = ("topic", "partition", "offset")  # without these the record's origin is unknown
TEXTS = ("topic", "group", "error", "message", "cause")
SIZES = {"partition": (4,), "offset": (8,), "timestamp": (8,), "attempts": (4, 1)}  # bytes, big endian and signed


@dataclass(frozen=True)
class Dialect:
    """How a tool writes a dead letter: the header names of each field, of which the first that is present counts.

    `others` are headers that the tool adds for other purposes. `digits`: numbers are text. `keeps_time`: the dead
    letter has the record's own timestamp. `group` formats the group header's value as a consumer group.
    """

    tool: str
    names: Mapping[str, tuple[str, ...]]
    others: tuple[str, ...] = ()
    digits: bool = False
    keeps_time: bool = False
    group: str = "{}"

    @cached_property
    def coordinates(self) -> tuple[str, ...]:
        """The headers with topic, partition and offset of the record."""
        return tuple(self.names[field][0] for field in COORDINATES)

    @cached_property
    def all(self) -> frozenset[str]:
        """Every header that the tool writes."""
        return frozenset(name for names in self.names.values() for name in names) | frozenset(self.others)

    def read(self, headers: Mapping[str, bytes | None]) -> dict[str, Any]:
        """The fields in these headers. Fields that cannot be parsed are left out.

        Raises UnknownOriginError if topic, partition or offset is missing or cannot be parsed.
        """
        found: dict[str, Any] = {}
        for field, names in self.names.items():
            if (name := next((each for each in names if each in headers), None)) is None:
                continue
            try:
                found[field] = self._value(field, headers[name] or b"")
            except ValueError as problem:
                if field in COORDINATES:
                    raise UnknownOriginError(f"its header {name} is {headers[name]!r:.60}, not {problem}") from None
        if missing := [self.names[field][0] for field in COORDINATES if field not in found]:
            raise UnknownOriginError(f"it has no header {missing[0]}")
        if not found["topic"] or min(found["partition"], found["offset"]) < 0:
            raise UnknownOriginError(f"its header {self.names['topic'][0]} and those beside it name no record")
        return found

    def _value(self, field: str, value: bytes) -> Any:
        if field == "topic":
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise ValueError("text in UTF-8") from None
        if field in TEXTS:
            text = value.decode(errors="backslashreplace")
            return self.group.format(text) if field == "group" and text else text
        if self.digits:
            text = value.decode(errors="replace")
            if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20):
                raise ValueError("a whole number")
            return int(text)
        if len(value) not in SIZES[field]:
            raise ValueError(f"{SIZES[field][0]} bytes")
        return int.from_bytes(value, "big", signed=True)


def _spring(tool: str, prefix: str, *more: str) -> Dialect:
    names = {
        **{field: (f"{prefix}original-{field}",) for field in (*COORDINATES, "timestamp")},
        "group": (f"{prefix}original-consumer-group", "kafka_dlt-original-consumer-group"),
        "error": (f"{prefix}exception-fqcn", f"{prefix}key-exception-fqcn"),
        "message": (f"{prefix}exception-message", f"{prefix}key-exception-message"),
        "cause": (f"{prefix}exception-cause-fqcn",),
        "attempts": ("kafka_deliveryAttempt", "retry_topic-attempts"),
    }
    traces = (f"{prefix}original-timestamp-type", f"{prefix}exception-stacktrace", f"{prefix}key-exception-stacktrace")
    listener = ("kafka_listenerInfo", "springDeserializerExceptionKey", "springDeserializerExceptionValue")
    return Dialect(tool, names, (*traces, *listener, *more))


def _texts(tool: str, prefix: str, names: Mapping[str, str], others: Sequence[str] = (), **more: Any) -> Dialect:
    found = {field: (prefix + name,) for field, name in names.items()}
    return Dialect(tool, found, tuple(prefix + each for each in others), digits=True, **more)


_SAME = {field: field for field in COORDINATES}
RETRIES = "retry_topic-"  # Spring adds these in each retry topic and keeps the earlier ones

SPRING = _spring("Spring Kafka", "kafka_dlt-")
DIALECTS = (
    SPRING,
    _spring(
        "Spring Kafka with @RetryableTopic",
        "kafka_",
        *(RETRIES + each for each in ("attempts", "original-timestamp", "backoff-timestamp")),
    ),
    Dialect(
        "Spring Cloud Stream",
        {
            **{field: (f"x-original-{field}",) for field in (*COORDINATES, "timestamp")},
            "error": ("x-exception-fqcn",),
            "message": ("x-exception-message",),
        },
        ("x-original-timestamp-type", "x-exception-stacktrace"),
    ),
    _texts(
        "Kafka Connect",
        "__connect.errors.",
        _SAME | {"group": "connector.name", "error": "exception.class.name", "message": "exception.message"},
        ("task.id", "stage", "class.name", "exception.stacktrace"),
        keeps_time=True,
        group="connect-{}",
    ),
    _texts(
        "Kafka Streams",
        "__streams.errors.",
        _SAME | {"error": "exception", "message": "message"},
        ("stacktrace",),
        keeps_time=True,
    ),
    _texts(
        "Quarkus (SmallRye)",
        "dead-letter-",
        _SAME | {"error": "exception-class-name", "message": "reason", "cause": "cause-class-name"},
        ("cause",),
    ),
)

ANY = frozenset().union(*(each.all for each in DIALECTS))

# The lab's own headers, in this order, with the type of each value.
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


def dialect_of(headers: Pairs) -> Dialect | None:
    """The tool that wrote the dead letter last: its coordinates come last. None if no header is a known tool's."""
    last = {name: position for position, (name, _) in enumerate(headers)}
    if ANY.isdisjoint(last):  # most records, so this must be quick
        return None

    def comes(dialect: Dialect) -> tuple[bool, int]:
        positions = [last[name] for name in dialect.coordinates if name in last]
        return len(positions) == len(COORDINATES), max(positions, default=-1)

    best = max(DIALECTS, key=comes)
    if comes(best)[1] >= 0:
        return best
    return max(DIALECTS, key=lambda each: len(each.all & last.keys()))


def own(dialect: Dialect, headers: Pairs) -> list[int]:
    """The positions of the dead letter's own headers; the others belong to the record.

    The lab's own headers are the last block of them in the lab's order, whatever else the record has. Of another tool's
    headers the last one of each name counts.
    """
    names = [name for name, _ in headers]
    length = len(TYPES)
    if dialect is SPRING:
        for start in range(len(names) - length, -1, -1):
            if names[start : start + length] == list(TYPES):
                return list(range(start, start + length))
    last = {name: position for position, name in enumerate(names)}
    repeated = [at for at, name in enumerate(names) if name.startswith(RETRIES) and name in dialect.all]
    return sorted({at for name, at in last.items() if name in dialect.all} | set(repeated))


def pack(kind: str, value: Any) -> bytes:
    """The bytes of a header value that the lab writes."""
    return value.encode(errors="backslashreplace") if kind == TEXT else struct.pack(kind, value)
