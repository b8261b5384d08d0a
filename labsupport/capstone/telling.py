"""The flights told as events: who departed, arrived, was cancelled, and whose delay was corrected days later.

Seeded: the same seed tells the same records in the same order. Whatever goes wrong on the way, the data is the truth: a
correction brings the file's value, and the arrival before it a wrong one.
"""

import heapq
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from labsupport.capstone.contract import ARRIVED, CANCELLED, CORRECTED, DEPARTED, NEW_VERSION

if TYPE_CHECKING:
    import pandas

DAY = 86_400  # seconds
BURST = 10**9  # the number of a burst's first poison: beyond those of a story


@dataclass(frozen=True)
class Trouble:
    """How often what happens: parts (0 to 1) of the flights that are corrected, and of the records that are repeated.

    `poison` is the part of the records that are followed by one that is no event. `new_version`: whether the events
    change in July.
    """

    corrected: float = 0.03
    repeated: float = 0.02
    poison: float = 0.002
    new_version: bool = True


CALM = Trouble(0.0, 0.0, 0.0, new_version=False)


class Record(NamedTuple):
    """A record to publish. `time` is in seconds of Unix time; `event_id` is empty for poison.

    `repeats`: whether the same record was told before.
    """

    time: float
    key: bytes
    value: bytes
    event_id: str = ""
    repeats: bool = False


def tell(
    flights: "pandas.DataFrame", seed: int, trouble: Trouble = CALM, until: float = float("inf")
) -> Iterator[Record]:
    """Yield what happened up to `until` (seconds of Unix time), in order of time.

    Corrections and repetitions come later than what they are about, and at `until` those that would come after it.
    """
    chance = random.Random(seed)
    later: list[tuple[float, int, Record]] = []  # a heap of what comes again, or corrects

    def put(number: int, record: Record) -> None:
        heapq.heappush(later, (min(record.time, until), number, record))

    changes = datetime.fromisoformat(f"{NEW_VERSION}T00:00:00Z").timestamp() if trouble.new_version else float("inf")
    for number, (time, kind, row) in enumerate(_happenings(flights, until)):
        while later and later[0][0] < time:
            yield heapq.heappop(later)[2]
        delay = None if kind == CANCELLED else int(row.dep_delay if kind == DEPARTED else row.arr_delay)
        if kind == ARRIVED and chance.random() < trouble.corrected:
            wrongs = _wrong_delays(int(row.arr_delay), chance)
            for revision, value in enumerate([*wrongs[1:], int(row.arr_delay)], 2):
                when = min(time + chance.uniform(0.5, 4) * DAY * revision / 2, until)
                put(number, _record(when, CORRECTED, row, value, when >= changes, revision))
            delay = wrongs[0]
        record = _record(time, kind, row, delay, time >= changes)
        yield record
        corrected = kind == ARRIVED and delay != row.arr_delay  # the trap of a repetition that comes after it
        if trouble.repeated and chance.random() < (0.5 if corrected else trouble.repeated):
            when = time + (6 * DAY if corrected else chance.choice([0.0, 60.0, 2 * DAY]))
            put(number, record._replace(time=min(when, until), repeats=True))
        if chance.random() < trouble.poison:
            yield _poisoned(record, number, chance.choice(POISON))
    while later:
        yield heapq.heappop(later)[2]


def _happenings(flights: "pandas.DataFrame", until: float) -> list[tuple[float, str, Any]]:
    found = []
    for row in flights.itertuples(index=False):
        if row.departed != row.departed:  # NaN: it was cancelled
            found.append((float(row.scheduled), CANCELLED, row))
            continue
        found.append((row.departed, DEPARTED, row))
        if row.arrived == row.arrived:
            found.append((row.arrived, ARRIVED, row))
    found = [each for each in found if each[0] <= until]
    found.sort(key=lambda each: (each[0], each[2].flight, each[1] == ARRIVED))
    return found


def _wrong_delays(right: int, chance: random.Random) -> list[int]:
    """One or two delays that were reported first, all different from the next one."""
    wrongs = [right + chance.choice([-1, 1]) * chance.randint(5, 60)]
    if chance.random() < 0.3:
        wrongs.insert(0, wrongs[0] + chance.randint(1, 30))
    return wrongs


def _record(time: float, kind: str, row: Any, delay: int | None, new: bool, revision: int = 1) -> Record:
    payload = {"flight": row.flight, "day": row.day, "airport": row.airport, "carrier": row.carrier}
    if delay is not None:
        payload |= {"delay_seconds": 60 * delay} if new else {"delay": delay}
    if kind == CORRECTED:
        payload["revision"] = revision
    event_id = f"{row.flight}/{kind}" + (f"/{revision}" if kind == CORRECTED else "")
    event = {
        "event_type": kind,
        "event_version": 2 if new else 1,
        "event_id": event_id,
        "timestamp": datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z"),
        "payload": payload,
    }
    return Record(time, f"{row.airport}-{row.carrier}".encode(), json.dumps(event).encode(), event_id)


# What can be wrong with a record, from its event; each is named in the README of a new service.
POISON: tuple[Callable[[dict], Any], ...] = (
    lambda event: json.dumps(event)[: -len(event["event_id"]) // 2],  # cut off, so no JSON
    lambda event: [event["event_id"]],  # JSON, but no object
    lambda event: event | {"payload": {**event["payload"], "flight": None}},
    lambda event: event | {"payload": {name: event["payload"][name] for name in ("day", "airport")}},
    lambda event: event | {"payload": event["payload"] | {"delay": "soon", "delay_seconds": "soon"}},
    lambda event: event | {"event_version": 9},
    lambda event: event | {"event_type": "FlightPainted"},
)


def burst(records: Sequence[Record], many: int) -> list[Record]:
    """Return so many records that are no events, of each kind in turn, with the keys of these records in turn."""
    events = [each for each in records if each.event_id] if many else []
    return [
        _poisoned(events[number % len(events)], BURST + number, POISON[number % len(POISON)]) for number in range(many)
    ]


def newer(record: Record) -> Record:
    """Return the event as a later publisher tells it: version 2, with a field that the contract does not describe."""
    if not record.event_id:
        return record
    event = json.loads(record.value)
    payload = event["payload"] | {"gate": "B22"}
    if "delay" in payload:
        payload["delay_seconds"] = 60 * payload.pop("delay")
    return record._replace(value=json.dumps(event | {"event_version": 2, "payload": payload}).encode())


def _poisoned(record: Record, number: int, wrong: Callable[[dict], Any]) -> Record:
    """Spoil an event that was never told: none of its poison looks like another's."""
    event = json.loads(record.value)
    event["event_id"] += f"/poison/{number}"
    event["event_type"] = DEPARTED
    event["payload"].setdefault("delay", 0)
    event["payload"]["flight"] += f"-{number}"
    spoiled = wrong(event)
    value = spoiled.encode() if isinstance(spoiled, str) else json.dumps(spoiled).encode()
    return Record(record.time, record.key, value)
