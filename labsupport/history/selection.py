"""Which records of a topic: by partition, offset, time, key, type, or a function. Replay and redrive select with it."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from labsupport import transactions
from labsupport.delivery.record_time import milliseconds
from labsupport.errors import LabError
from labsupport.history.offset_range import OffsetRange, inside, since
from labsupport.transactions import Bounds

ASK_MS = 5_000


@dataclass(frozen=True)
class Selection:
    """The records of `topic` to which every given condition applies.

    `start` and `stop` are offsets in each partition, `since` and `before` datetimes with a time zone, compared with the
    records' timestamps; each pair includes the first and excludes the second. `keys` are text or bytes, `types` event
    types. `where(record)` and each of `tests` must be true; the report names a test by its key. Raises LabError for
    conditions that make no sense.
    """

    topic: str
    partitions: Collection[int] | None = None
    start: int | None = None
    stop: int | None = None
    since: datetime | None = None
    before: datetime | None = None
    keys: Collection[str | bytes] | None = None
    types: Collection[str] | None = None
    where: Callable[[ConsumerRecord], object] | None = None
    tests: Mapping[str, Callable[[ConsumerRecord], object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("partitions", "keys", "types"):
            if (given := getattr(self, name)) is not None:
                single = isinstance(given, str | bytes | int)
                object.__setattr__(self, name, _named(name, [given] if single else given))
        for name in ("start", "stop"):
            _require_offset(name, getattr(self, name))
        for name in ("since", "before"):
            if getattr(self, name) is not None:
                milliseconds(getattr(self, name), name)
        for first, last in (("start", "stop"), ("since", "before")):
            given = getattr(self, first), getattr(self, last)
            if None not in given and given[0] >= given[1]:
                raise LabError(
                    f"{first} is {given[0]}, {last} is {given[1]}.",
                    f"nothing lies between: {last} does not belong to it",
                    f"give a {last} after {first}",
                )

    def missed_by(self) -> Callable[[ConsumerRecord], str]:
        """A function that says why a record is not selected: "time", "key", …, or "" if it is."""
        tests: list[tuple[str, Callable[[ConsumerRecord], object]]] = []
        if self.since is not None or self.before is not None:
            first = 0 if self.since is None else milliseconds(self.since, "since")
            last = float("inf") if self.before is None else milliseconds(self.before, "before")
            tests.append(("time", lambda record: first <= record.timestamp < last))
        if (keys := self.keys) is not None:
            tests.append(("key", lambda record: record.key in keys))
        if (types := self.types) is not None:
            tests.append(("type", lambda record: type_of(record) in types))
        tests += self.tests.items()
        if self.where is not None:
            tests.append(("where", self.where))

        def missed_by(record: ConsumerRecord) -> str:
            return next((name for name, test in tests if not test(record)), "")

        return missed_by


def type_of(record: ConsumerRecord) -> str:
    """The type of the record's event: from the header `event_type`, else from the value, else "". Never raises."""
    for name, value in record.headers:
        if name == "event_type" and value:
            return value.decode(errors="backslashreplace")
    try:
        found = json.loads(record.value)["event_type"]
    except (TypeError, ValueError, KeyError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""


def resolve(consumer: KafkaConsumer, selection: Selection) -> tuple[OffsetRange, ...]:
    """Resolve the selection to an offset range per partition. Records that are added later do not belong to it.

    A range ends at the last stable offset: what waits for an open transaction does not belong to it, as a note says.
    Offsets and times outside the log are moved to its nearest end, with a note. `before` does not end a range, because
    a record can be older than those before it. Raises LabError if there is no such topic or partition.
    """
    numbers = sorted(consumer.partitions_for_topic(selection.topic) or ())
    if not numbers:
        raise LabError(f"There is no topic {selection.topic!r}.", "", "is its name right, and was it created?")
    if missing := sorted(set(selection.partitions or ()) - set(numbers)):
        raise LabError(
            f"{selection.topic} has no partition {', '.join(map(str, missing))}.",
            f"it has {len(numbers)}, counted from 0",
            "choose among these, or name none to have all",
        )
    partitions = [
        TopicPartition(selection.topic, each) for each in numbers if each in (selection.partitions or numbers)
    ]
    bounds = transactions.bounds(consumer, partitions, timeout_ms=ASK_MS)
    waiting = transactions.held_up(consumer, bounds)
    found, firsts = {}, {}
    if selection.since is not None:
        at = max(0, milliseconds(selection.since, "since"))
        with transactions.uncommitted(consumer):  # else a record that waits would not be found
            found = consumer.offsets_for_times(dict.fromkeys(partitions, at), timeout_ms=ASK_MS)
            firsts = consumer.offsets_for_times(dict.fromkeys(partitions, 0), timeout_ms=ASK_MS)
    return tuple(
        offset_range(
            selection,
            each.partition,
            bounds[each],
            _offset(found.get(each)),
            _offset(firsts.get(each)),
            waiting.get(each, ""),
        )
        for each in partitions
    )


def offset_range(
    selection: Selection,
    partition: int,
    bounds: Bounds,
    found: int | None,
    first: int | None,
    waiting: str = "",
) -> OffsetRange:
    """The selection's range in one partition. Pure. `found` and `first` are as in `offset_range.since`.

    `waiting` says what waits for an open transaction; it becomes a note if the range would reach that far.
    """
    notes = []
    begin, stable, end = bounds
    start, stop = begin, end
    if selection.start is not None:
        start, note = inside(selection.start, begin, end)
        notes.append(note)
    if selection.stop is not None:
        stop, note = inside(selection.stop, begin, end)
        notes.append(note)
    if selection.since is not None:
        at, note = since(found, first, end)
        start = max(start, at)
        notes.append(note)
    if stop > stable:
        stop = stable
        notes.append(waiting)
    return OffsetRange(partition, begin, end, start, max(start, stop), tuple(note for note in notes if note))


def _offset(found: Any) -> int | None:
    return None if found is None else found.offset


def _named(name: str, given: Collection) -> frozenset:
    if not given:
        raise LabError(f"{name} is empty.", "so nothing is chosen", f"leave {name} out to choose all")
    if name == "keys":
        return frozenset(each.encode() if isinstance(each, str) else each for each in given)
    return frozenset(given)


def _require_offset(name: str, offset: int | None) -> None:
    if offset is not None and (not isinstance(offset, int) or offset < 0):
        raise LabError(f"{name} is {offset!r}.", "offsets are whole numbers from 0", f"give such a {name}")
