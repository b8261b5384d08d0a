"""The mark of a record that was sent back: of which record it is a copy, and for whom. Pure. Lesson 10.

A record that was redriven has one or two headers more. `redrive_group` is the only group that is to process it; all
others skip it. `redrive_origin` says of which record it is a copy, in three words with a space between them:

    topic/partition/offset   where that record lay
    timestamp                its own time, in milliseconds since 1970, in digits; -1 if it is not known
    id                       the event's id, at most ID_BYTES of it; missing if it has none

A coordinates alone would not do: when a topic is made anew, another record gets the same coordinates. A mark with the coordinates alone
is understood as one of the event that it stands on. What failed again and is redriven again has an origin for each
time, the first one in front.
"""

from collections.abc import Iterable

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.shop.event import id_in

Headers = tuple[tuple[str, bytes | None], ...]

REDRIVE_ORIGIN, REDRIVE_GROUP = "redrive_origin", "redrive_group"
ID_BYTES = 100


def origin(coordinates: str, timestamp: int, headers: Headers, value: bytes | None) -> str:
    """What tells a record from every other, also from one that has its coordinates later."""
    return " ".join(filter(None, (coordinates, str(timestamp), _short_id(headers, value))))


def by_coordinates(coordinates: str, headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> str:
    """A record by its coordinates and its event, for marks that name no time."""
    return f"{coordinates} at any time {_short_id(headers, value)}"


def mark_of(headers: Iterable[tuple[str, bytes | None]]) -> tuple[str, str | None] | None:
    """Of a redriven record: where it lay before, and the only group that it is for, None if it is for all.

    None if it was not redriven.
    """
    found = {name: text(value) for name, value in headers}
    return (_coordinates_in(found[REDRIVE_ORIGIN]), found.get(REDRIVE_GROUP)) if REDRIVE_ORIGIN in found else None


def first_coordinates(headers: Iterable[tuple[str, bytes | None]]) -> str | None:
    """Where a redriven record lay at first, before it was redriven at all; None if it was not redriven."""
    return next((_coordinates_in(text(value)) for name, value in headers if name == REDRIVE_ORIGIN), None)


def for_others(record: ConsumerRecord, group: str) -> bool:
    """Whether the record was redriven for another group than this one, which skips it."""
    return any(name == REDRIVE_GROUP and value != group.encode() for name, value in record.headers)


def _short_id(headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> str:
    return cut(id_in(headers, value), ID_BYTES)


def _coordinates_in(origin: str) -> str:
    return origin.partition(" ")[0]


def text(value: bytes | None) -> str:
    """The value of a header as text; never raises."""
    return (value or b"").decode(errors="backslashreplace")


def cut(text: str, most: int) -> str:
    """The text, in at most so many bytes of UTF-8, an ellipsis at its end if something is missing."""
    data = text.encode(errors="backslashreplace")
    return data.decode() if len(data) <= most else data[: most - 3].decode(errors="ignore") + "…"
