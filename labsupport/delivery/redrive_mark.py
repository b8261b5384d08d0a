"""The mark of a redriven record: which record it copies, and for whom. Pure. Lesson 10.

A redriven record has one or two more headers. `redrive_group` names the only group that should process it; all others
skip it. `redrive_origin` identifies the record that it copies, in three words separated by spaces:

    topic/partition/offset   the coordinates of that record
    timestamp                its own, in milliseconds since 1970, in digits; -1 if unknown
    id                       its event's id, at most ID_BYTES of it; left out if it has none

Coordinates alone would not identify it, because a recreated topic uses them again. A mark that has only coordinates
refers to the event in its own record. A record that fails again and is redriven again has one origin per redrive, the
first one in front.
"""

from collections.abc import Iterable

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.shop.event import id_in

Headers = tuple[tuple[str, bytes | None], ...]

REDRIVE_ORIGIN, REDRIVE_GROUP = "redrive_origin", "redrive_group"
ID_BYTES = 100


def origin(coordinates: str, timestamp: int, headers: Headers, value: bytes | None) -> str:
    """Identifies a record, even after its topic was recreated."""
    return " ".join(filter(None, (coordinates, str(timestamp), _short_id(headers, value))))


def by_coordinates(coordinates: str, headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> str:
    """Identifies a record by coordinates and event, for marks without a timestamp."""
    return f"{coordinates} at any time {_short_id(headers, value)}"


def mark_of(headers: Iterable[tuple[str, bytes | None]]) -> tuple[str, str | None] | None:
    """The coordinates of the copied record, and its only group (None: all groups). None if it was not redriven."""
    found = {name: text(value) for name, value in headers}
    return (_coordinates_in(found[REDRIVE_ORIGIN]), found.get(REDRIVE_GROUP)) if REDRIVE_ORIGIN in found else None


def first_coordinates(headers: Iterable[tuple[str, bytes | None]]) -> str | None:
    """The first coordinates of a redriven record, before any redrive. None if it was not redriven."""
    return next((_coordinates_in(text(value)) for name, value in headers if name == REDRIVE_ORIGIN), None)


def for_others(record: ConsumerRecord, group: str) -> bool:
    """Whether the record was redriven for another group, so that this one skips it."""
    return any(name == REDRIVE_GROUP and value != group.encode() for name, value in record.headers)


def _short_id(headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> str:
    return cut(id_in(headers, value), ID_BYTES)


def _coordinates_in(origin: str) -> str:
    return origin.partition(" ")[0]


def text(value: bytes | None) -> str:
    """The value of a header as text; never raises."""
    return (value or b"").decode(errors="backslashreplace")


def cut(text: str, most: int) -> str:
    """The text in at most `most` bytes of UTF-8, with an ellipsis if it was cut."""
    data = text.encode(errors="backslashreplace")
    return data.decode() if len(data) <= most else data[: most - 3].decode(errors="ignore") + "…"
