"""The envelope of every event, and its conversion to bytes and back. Lesson 01 builds it by hand.

An `Event` that exists is valid: the same rules hold for one made in a program and for one decoded from a record.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

import simplejson

from labsupport.errors import EventError, UnknownEventError

# What the shop's services have agreed on: the payload fields of each type and version. Additional fields are kept; a
# missing field, or one of another type, is an error.
PAYLOADS: dict[tuple[str, int], dict[str, type]] = {
    ("OrderCreated", 1): {"order_id": str, "user_id": str, "amount": Decimal},
    ("PaymentProcessed", 1): {"order_id": str, "amount": Decimal},
    ("BidSubmitted", 1): {"auction_id": str, "user_id": str, "amount": Decimal},
    ("ReportGenerated", 1): {"report_id": str, "orders": int, "amount": Decimal},
}
ENVELOPE = ("event_type", "event_version", "event_id", "timestamp", "payload")
MAX_DIGITS = 18  # of an amount, on either side of the point
MAX_DEPTH = 50  # of nested dicts and lists
MAX_BYTES = 1_000_000  # Kafka's default limit is 1,048,588 (`max.message.bytes`), headers included


class ReadOnly(dict):
    """A dict that does not change, like a fact."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("an event is a fact and does not change: publish another event that says what is new")

    __setitem__ = __delitem__ = __ior__ = update = setdefault = pop = popitem = clear = _refuse

    def __reduce__(self) -> tuple:
        return ReadOnly, (dict(self),)


@dataclass(frozen=True)
class Event:
    """Something that has happened. Raises EventError if a field is missing or wrong.

    `event_type` names it in the past tense, `event_version` the form of its payload. `event_id` is a UUID of its own.
    `timestamp` is in UTC. `payload` is read-only and has amounts as Decimal. `extra` keeps fields of the envelope that
    this program does not know.
    """

    event_type: str
    event_version: int
    event_id: str
    timestamp: datetime
    payload: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_envelope(self)
        object.__setattr__(self, "timestamp", _in_utc(self.timestamp))
        object.__setattr__(self, "payload", _read_only("payload", _checked_payload(self)))
        object.__setattr__(self, "extra", _read_only("extra", self.extra))

    def __hash__(self) -> int:
        return hash(self.event_id)

    def __repr__(self) -> str:
        when = f"{self.timestamp:%Y-%m-%dT%H:%M:%SZ}"
        return f"<{self.event_type} {self.event_version} · {self.event_id[:8]}… · {when} · {dict(self.payload)}>"

    def __deepcopy__(self, _memo: dict) -> "Event":
        return self  # it is immutable

    def encode(self) -> bytes:
        """The record's value: one JSON object in UTF-8. Raises EventError if it is too large for Kafka."""
        envelope = {name: getattr(self, name) for name in ENVELOPE}
        envelope["timestamp"] = self.timestamp.isoformat().replace("+00:00", "Z")
        try:
            value = simplejson.dumps({**envelope, **self.extra}, use_decimal=True, ensure_ascii=False).encode()
        except ValueError as error:  # half a surrogate pair, or an integer of thousands of digits
            raise EventError(f"cannot be written as JSON: {error}") from error
        if len(value) > MAX_BYTES:
            raise EventError(f"too large: {len(value):,} bytes, and a record may have {MAX_BYTES:,}")
        return value

    def headers(self) -> list[tuple[str, bytes]]:
        """The record's headers: type and id, so that a program can route the event without parsing the value."""
        return [("event_type", self.event_type.encode()), ("event_id", self.event_id.encode())]

    @classmethod
    def decode(cls, value: bytes | None) -> "Event":
        """The event in a record's value. Raises EventError, which keeps the bytes, if it is no event."""
        try:
            envelope = _parse(value)
            known = {name: envelope.pop(name) for name in ENVELOPE}
            return cls(**known | {"timestamp": _instant(known["timestamp"])}, extra=envelope)
        except EventError as error:
            error.value = value
            raise


def _parse(value: bytes | None) -> dict[str, Any]:
    """The JSON object in these bytes, which has all fields of an envelope; numbers with a point as Decimal."""
    if not isinstance(value, bytes):
        raise EventError("no value" if value is None else f"not bytes but {type(value).__name__}")
    try:
        text = value.decode()
        envelope = json.loads(
            text, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates
        )
        if b"\\u" in value:  # an escape can be half a surrogate pair, which cannot be encoded again
            json.dumps(envelope, ensure_ascii=False, default=str).encode()
    except UnicodeDecodeError as error:
        raise EventError(f"not UTF-8: byte {error.start} is 0x{value[error.start]:02x}") from error
    except UnicodeEncodeError as error:
        raise EventError(f"not text: {error.reason} (\\u{ord(error.object[error.start]):04x})") from error
    except EventError:
        raise
    except RecursionError as error:
        raise EventError("not JSON that can be read: nested too deeply") from error
    except (ValueError, ArithmeticError) as error:  # the latter for an exponent too large for Decimal
        raise EventError(f"not JSON: {error or 'a number out of all bounds'}"[:200]) from error
    if not isinstance(envelope, dict):
        raise EventError(f"not a JSON object but {type(envelope).__name__}")
    if missing := [name for name in ENVELOPE if name not in envelope]:
        raise EventError(f"missing: {', '.join(missing)}")
    return envelope


def _refuse_constant(name: str) -> NoReturn:
    raise EventError(f"{name} is not a JSON number")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a repeated name: JSON allows it, but readers differ in which value they take."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
        raise EventError(f"given twice: {', '.join(twice[:5])}"[:200])
    return fields


def _instant(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise EventError(f"timestamp: {_shown(text)} is not a time such as 2026-04-16T10:30:00Z") from error


def _in_utc(timestamp: datetime) -> datetime:
    if timestamp.utcoffset() is None:
        raise EventError(f"timestamp: {timestamp.isoformat()} names no time zone; in UTC it ends in Z")
    try:
        return timestamp.astimezone(UTC)
    except OverflowError as error:
        raise EventError(f"timestamp: {timestamp.isoformat()} is outside the years 1 to 9999 in UTC") from error


def _check_envelope(event: Event) -> None:
    kinds = {"event_type": str, "event_version": int, "event_id": str, "timestamp": datetime, "payload": Mapping}
    for name, kind in (kinds | {"extra": Mapping}).items():
        _require(name, getattr(event, name), kind)
    try:
        canonical = str(UUID(event.event_id)) == event.event_id
    except ValueError:
        canonical = False
    if not canonical:
        raise EventError(
            f"event_id: {_shown(event.event_id)} is not a UUID in its usual form, small letters and dashes"
        )
    if clash := set(event.extra) & set(ENVELOPE):
        raise EventError(f"extra: {', '.join(sorted(clash))} belongs to the envelope itself")


def _checked_payload(event: Event) -> dict[str, Any]:
    """The payload, checked against its type; a whole number as amount becomes a Decimal."""
    wanted = PAYLOADS.get((event.event_type, event.event_version))
    if wanted is None:
        versions = sorted(version for name, version in PAYLOADS if name == event.event_type)
        known = f"known versions: {versions}" if versions else f"known: {', '.join(sorted({n for n, _ in PAYLOADS}))}"
        raise UnknownEventError(f"unknown event {event.event_type} version {event.event_version}; {known}")
    payload = dict(event.payload)
    for name, kind in wanted.items():
        if name not in payload:
            raise EventError(f"payload.{name}: missing")
        if kind is Decimal and type(payload[name]) is int:
            payload[name] = Decimal(payload[name])
        _require(f"payload.{name}", payload[name], kind)
        if kind is Decimal and not _is_money(payload[name]):
            raise EventError(f"payload.{name}: {str(payload[name])[:60]} is not an amount of money")
    return payload


def _is_money(amount: Decimal) -> bool:
    """At most 18 digits on either side of the point: writing out 1e999999999 would fill the memory."""
    if not amount.is_finite():
        return False
    exponent = amount.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -MAX_DIGITS and amount.adjusted() < MAX_DIGITS


def _require(name: str, value: Any, kind: type) -> None:
    # In Python True is an int; and a float for an amount deserves an explanation.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        wanted = "dict" if kind is Mapping else kind.__name__
        why = ", which cannot hold cents exactly" if kind is Decimal and isinstance(value, float) else ""
        raise EventError(f"{name}: {_shown(value)} is {type(value).__name__}{why}; {wanted} is needed")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _read_only(name: str, value: Any, depth: int = 0) -> Any:
    """The value with read-only dicts and tuples at every level, and numbers with a point as Decimal.

    Raises EventError for anything that JSON would not return unchanged.
    """
    if depth > MAX_DEPTH:
        raise EventError(f"{name.partition('.')[0]}: nested too deeply, more than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        if odd := [each for each in value if not isinstance(each, str)]:
            raise EventError(f"{name}: the name {_shown(odd[0])} is {type(odd[0]).__name__}; str is needed")
        return ReadOnly({each: _read_only(f"{name}.{each}", inner, depth + 1) for each, inner in value.items()})
    if isinstance(value, list | tuple):
        return tuple(_read_only(name, inner, depth + 1) for inner in value)
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal) and not value.is_finite():
        raise EventError(f"{name}: {value} cannot be written as JSON")
    if not isinstance(value, str | int | Decimal | None):
        raise EventError(f"{name}: {_shown(value)} is {type(value).__name__} and cannot be written as JSON")
    return value


def id_in(headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> str:
    """The id of a record's event: from the header `event_id`, else from the value, else "". Never raises."""
    for name, each in headers:
        if name == "event_id" and each:
            return each.decode(errors="backslashreplace")
    try:
        event_id = json.loads(value or b"")["event_id"]
    except (TypeError, ValueError, KeyError, RecursionError):
        return ""
    return event_id if isinstance(event_id, str) else ""
