"""The balance sheet: what the service answers and publishes, against the truth. Pure.

Everything that differs is an entry: `lost`, `twice`, `out of order` (an older value won), `late` (published only after
a restart, though all was committed before), `waiting` (not committed yet), or `wrong` (anything else).
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from labsupport.capstone.contract import ARRIVED, CORRECTED, COUNTS, NUMBERS, Cell
from labsupport.capstone.truth import Truth
from labsupport.console import counted
from labsupport.errors import LabError

if TYPE_CHECKING:
    import pandas

LOST, TWICE, OUT_OF_ORDER, LATE, WAITING, WRONG = OUTCOMES = (
    "lost", "twice", "out of order", "late", "waiting", "wrong",
)  # fmt: skip
REST = "the group had committed everything and was doing nothing"
KIND_OF = {"departed": "FlightDeparted", "arrived": "FlightArrived", "cancelled": "FlightCancelled"}


class Placed(NamedTuple):
    """A record of the flights' topic as it lies there. `event` is None for poison."""

    partition: int
    offset: int
    key: bytes
    value: bytes
    event: dict | None

    @property
    def cell(self) -> Cell | None:
        """The cell that it counts in."""
        if self.event is None:
            return None
        return Cell(*(self.event["payload"][name] for name in ("day", "airport", "carrier")))

    @property
    def delay(self) -> int | None:
        """The delay that it reports, in minutes."""
        if self.event is None:
            return None
        payload = self.event["payload"]
        return payload["delay_seconds"] // 60 if "delay_seconds" in payload else payload.get("delay")


@dataclass(frozen=True)
class Given:
    """What the service has given at the end.

    `cells` and `late` are its answers. `alarms` are the flight and event id of each record in the alarms' topic; an
    alarm that cannot be read has an empty flight. `dead` are the values of the dead letters. `committed` is the group's
    offset by partition, `ends` where the topic's partitions end. `counters` are those of /metrics, if asked for.
    `overdue` and `overdue_dead` are the flights and the values for which an alarm or a dead letter was missing when the
    service had committed everything, and evidently did nothing any more.
    """

    cells: Mapping[Cell, Mapping[str, int]]
    late: frozenset[str]
    alarms: Sequence[tuple[str, str]]
    dead: Sequence[bytes]
    committed: Mapping[int, int]
    ends: Mapping[int, int]
    counters: Mapping[str, float] | None = None
    overdue: frozenset[str] = frozenset()
    overdue_dead: frozenset[bytes] = frozenset()


@dataclass(frozen=True)
class Entry:
    """Something that differs: how often, in which cell or of which flight, and the sentence that says it."""

    outcome: str
    sentence: str
    times: int = 1
    cell: Cell | None = None
    column: str = ""
    flight: str = ""
    place: tuple[int, int] | None = None  # partition and offset of poison


@dataclass(frozen=True)
class Sheet:
    """All entries, worst outcome first; `events` counts the events told and `poison` what was none."""

    entries: tuple[Entry, ...]
    events: int
    poison: int

    @property
    def balanced(self) -> bool:
        """Whether nothing differs."""
        return not self.entries

    def count(self, outcome: str) -> int:
        """How often this outcome occurs."""
        return sum(entry.times for entry in self.entries if entry.outcome == outcome)

    @property
    def table(self) -> "pandas.DataFrame":
        """A row for each outcome."""
        import pandas

        counts = {outcome: self.count(outcome) for outcome in OUTCOMES}
        return pandas.DataFrame({"events": pandas.Series(counts)}).rename_axis("outcome")

    @property
    def sentences(self) -> list[str]:
        """A sentence for each outcome that occurs: the first of its entries, and how many more there are."""
        said = []
        for outcome in OUTCOMES:
            if some := [entry for entry in self.entries if entry.outcome == outcome]:
                more = f" And {len(some) - 1:,} more like this." if len(some) > 1 else ""
                said.append(some[0].sentence + more)
        return said


def draw_up(truth: Truth, given: Given, records: Sequence[Placed]) -> Sheet:
    """Compare what was given with the truth."""
    behind = {number for number, end in given.ends.items() if given.committed.get(number, 0) < end}
    partition = {each.key: each.partition for each in records}
    lost = _Lost(behind, partition, bool(given.committed))
    entries = [
        *_counts(truth, given, records, lost),
        *_minutes(truth, given, records, lost),
        *_late_now(truth, given),
        *_alarms(truth, given, lost),
        *_dead_letters(given, records, lost),
        *_counters(given, records),
    ]
    if behind and not any(entry.outcome == WAITING for entry in entries):
        left = sum(given.ends[each] - given.committed.get(each, 0) for each in behind)
        words = "has not committed" if given.committed else "has never committed, so a restart handles again,"
        entries.append(Entry(WAITING, f"Waiting: the group {words} {counted(left, 'record')} of the topic.", left))
    entries.sort(key=lambda entry: OUTCOMES.index(entry.outcome))
    poison = sum(each.event is None for each in records)
    return Sheet(tuple(entries), len(records) - poison, poison)


class _Lost:
    """What is missing is lost if it was committed, else it waits."""

    def __init__(self, behind: set[int], partition: Mapping[bytes, int], ever: bool):
        self.behind, self.partition = behind, partition
        self.waits = "has not committed all of its partition" if ever else "has never committed"

    def outcome(self, key: bytes) -> tuple[str, str]:
        if self.partition.get(key) in self.behind:
            return WAITING, f"Waiting: the group {self.waits}, and"
        return LOST, "Lost: the group has committed past it, but"


def _key(cell: Cell) -> bytes:
    return f"{cell.airport}-{cell.carrier}".encode()


def _key_of_flight(flight: str) -> bytes:
    _, airport, carrier = flight.split("/")
    return f"{airport}-{carrier[:2]}".encode()


def _counts(truth: Truth, given: Given, records: Sequence[Placed], lost: _Lost) -> list[Entry]:
    corrections = Counter(each.cell for each in records if each.event and each.event["event_type"] == CORRECTED)
    entries = []
    for cell in sorted({*truth.cells, *given.cells}, key=str):
        for column in COUNTS:
            right, answered = (side.get(cell, {}).get(column, 0) for side in (truth.cells, given.cells))
            said = f"{cell}: {answered} {column}, and it is {right}"
            if answered < right:
                outcome, words = lost.outcome(_key(cell))
                missing = counted(right - answered, f"{KIND_OF[column]} event")
                entries.append(
                    Entry(outcome, f"{words} no answer has {missing}. {said}.", right - answered, cell, column)
                )
            elif answered > right:
                many = counted(answered - right, f"{KIND_OF[column]} event")
                as_many = column == "arrived" and answered - right == corrections[cell]
                again = "counted again; the topic has as many corrections of them" if as_many else "counted again"
                sentence = f"Twice: {many} {again}. {said}."
                entries.append(Entry(TWICE, sentence, answered - right, cell, column))
    return entries


def _minutes(truth: Truth, given: Given, records: Sequence[Placed], lost: "_Lost") -> list[Entry]:
    """Where all flights are counted once, and their delays are wrong."""
    of_cell = defaultdict(list)
    for each in records:
        if each.event and each.event["event_type"] in (ARRIVED, CORRECTED):
            of_cell[each.cell].append(each)
    entries = []
    for cell, right in sorted(truth.cells.items(), key=lambda item: str(item[0])):
        answered = given.cells.get(cell, {})
        if any(answered.get(column, 0) != right[column] for column in COUNTS):
            continue
        if (minutes := answered.get("minutes", 0)) == right["minutes"]:
            continue
        said = f"{cell}: {minutes} minutes, and it is {right['minutes']}."
        outcome, why = _why(of_cell[cell], minutes, lost.outcome(_key(cell)))
        entries.append(Entry(outcome, f"{why} {said}", 1, cell, "minutes"))
    return entries


def _why(records: Sequence[Placed], minutes: int, lost: tuple[str, str]) -> tuple[str, str]:
    """What a wrong sum of delays looks like: the outcome, and words; `lost` are those of what is missing."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    raw: dict[str, tuple[int, int]] = {}
    for each in records:
        payload = each.event["payload"] if each.event else {}
        flight, revision = payload["flight"], payload.get("revision", 1)
        last[flight] = each.delay or 0
        if revision == 1:
            first[flight] = each.delay or 0
        taken = payload.get("delay_seconds", payload.get("delay", 0))
        raw[flight] = max(raw.get(flight, (0, 0)), (revision, taken))
    if minutes == sum(last.values()):
        return OUT_OF_ORDER, "Out of order: an older value came again, or later, and replaced a newer revision."
    if minutes == sum(first.values()):
        return lost[0], f"{lost[1]} a correction that came after its flight's arrival was not taken in."
    if minutes == sum(value for _, value in raw.values()):
        return WRONG, "Wrong: delay_seconds, of version 2, was taken for minutes."
    return WRONG, "Wrong: each flight is counted once, but with another delay than its highest revision."


def _late_now(truth: Truth, given: Given) -> list[Entry]:
    """Flights that are late now, where the numbers of their cells are right: others are entries already."""

    def counts_are_right(flight: str) -> bool:
        day, airport, carrier = flight.split("/")
        cell = Cell(day, airport, carrier[:2])
        right, answered = truth.cells.get(cell, {}), given.cells.get(cell, {})
        return all(right.get(column, 0) == answered.get(column, 0) for column in COUNTS)

    entries = [
        Entry(WRONG, f"Wrong: {flight} is late now, and /late does not name it.", flight=flight)
        for flight in sorted(truth.late - given.late)
        if counts_are_right(flight)
    ]
    for flight in sorted(given.late - truth.late):
        if flight.count("/") != 2 or counts_are_right(flight):
            sentence = f"Wrong: /late names {flight}, which is not late, or has arrived."
            entries.append(Entry(WRONG, sentence, flight=flight))
    return entries


def _alarms(truth: Truth, given: Given, lost: _Lost) -> list[Entry]:
    ids = defaultdict(set)
    for flight, event_id in given.alarms:
        ids[flight].add(event_id)
    entries = []
    for flight in sorted(truth.alarms - ids.keys()):
        outcome, words = lost.outcome(_key_of_flight(flight))
        entries.append(
            Entry(outcome, f"{words} no alarm tells that {flight} was delayed.", 1, column="alarm", flight=flight)
        )
    for flight, some in sorted(ids.items()):
        if not flight:
            entries.append(Entry(WRONG, "Wrong: an alarm is not the event that the README describes.", len(some)))
        elif flight not in truth.alarms:
            entries.append(Entry(WRONG, f"Wrong: an alarm for {flight}, which needs none.", flight=flight))
        elif len(some) > 1:
            sentence = f"Twice: {flight} has {len(some)} alarms with different ids, so they look like different alarms."
            entries.append(Entry(TWICE, sentence, len(some) - 1, column="alarm", flight=flight))
        elif flight in given.overdue:
            sentence = f"Late: {REST}, and the alarm for {flight} came only after a restart."
            entries.append(Entry(LATE, sentence, column="alarm", flight=flight))
    return entries


def _dead_letters(given: Given, records: Sequence[Placed], lost: _Lost) -> list[Entry]:
    dead, entries = Counter(given.dead), []
    values = {each.value for each in records if each.event is not None}
    for each in records:
        if each.event is None and not dead[each.value]:
            outcome, words = lost.outcome(each.key)
            where = f"partition {each.partition}, offset {each.offset}"
            sentence = f"{words} what is no event ({where}) was not set aside."
            entries.append(Entry(outcome, sentence, column="poison", place=(each.partition, each.offset)))
        elif each.event is None and each.value in given.overdue_dead:
            where = f"partition {each.partition}, offset {each.offset}"
            sentence = f"Late: {REST}, and what is no event ({where}) was set aside only after a restart."
            entries.append(Entry(LATE, sentence, column="poison", place=(each.partition, each.offset)))
    good = sum(value in values for value in dead)
    if good:
        entries.append(Entry(WRONG, f"Wrong: {counted(good, 'good event')} set aside as dead letters.", good))
    poison = {each.value for each in records if each.event is None}
    if changed := sum(value not in values and value not in poison for value in dead):
        sentence = f"Wrong: {counted(changed, 'dead letter')} with another value than what was set aside."
        entries.append(Entry(WRONG, sentence, changed))
    return entries


def _counters(given: Given, records: Sequence[Placed]) -> list[Entry]:
    """What an undisturbed process must have counted."""
    if given.counters is None:
        return []
    poison = sum(each.event is None for each in records)
    right = {"capstone_events_total": len(records) - poison, "capstone_dead_letters_total": poison}
    return [
        Entry(WRONG, f"Wrong: /metrics says {name} {given.counters.get(name, 'nothing')}, and it is {value}.")
        for name, value in right.items()
        if given.counters.get(name) != value
    ]


def read_counters(text: bytes) -> dict[str, float]:
    """The values of metrics without labels, in Prometheus' text format."""
    found = re.findall(rb"^(\w+)(?:\{\})? ([\d.eE+-]+)(?: \d+)?$", text, re.MULTILINE)
    return {name.decode(): float(value) for name, value in found}


def read_cells(day: str, rows: Sequence[object]) -> dict[Cell, dict[str, int]]:
    """Read the answer to /delays of one day; rows of zeros count as none. Raises LabError for another form."""
    cells = {}
    for row in rows:
        try:
            cell = Cell(day, row["airport"], row["carrier"])  # type: ignore[index]
            numbers = {name: int(row[name]) for name in NUMBERS}  # type: ignore[index]
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(day, f"{row!r}: {type(error).__name__}: {error}") from error
        if cell in cells:
            raise _unreadable(day, f"two rows for {cell}")
        if any(numbers.values()):
            cells[cell] = numbers
    return cells


def _unreadable(day: str, seen: str) -> LabError:
    return LabError(
        f"The answer to /delays?day={day} cannot be read.", seen, "the README of your folder has an example"
    )


def event_of(value: bytes) -> dict:
    """The event that the lab has published."""
    return json.loads(value)


def read_alarm(value: bytes | None) -> tuple[str, str]:
    """The flight and the event id of an alarm; both empty if it is none."""
    try:
        event = json.loads(value or b"")
        if event["event_type"] == "FlightDelayed":
            return str(event["payload"]["flight"]), str(event["event_id"])
    except (ValueError, KeyError, TypeError):
        pass
    return "", ""
