"""The capstone's data, the events that tell it, and the truth that pandas computes from it."""

import json
from collections import Counter, defaultdict

import pytest

from labsupport.capstone import flights, telling, truth
from labsupport.capstone.contract import ALARM, ARRIVED, CANCELLED, CORRECTED, DEPARTED, LATE, Cell
from labsupport.capstone.telling import CALM, Trouble
from labsupport.errors import LabError

KINDS = {DEPARTED, ARRIVED, CANCELLED, CORRECTED}
EVERYTHING = Trouble(corrected=0.1, repeated=0.05, poison=0.05)


@pytest.fixture(scope="module")
def days(settings):
    """The flights of the last day of version 1 and the first of version 2."""
    return flights.read(flights.fetch(settings), "2013-06-30", "2013-07-01")


def noon(days) -> float:
    """A moment when flights are in the air."""
    return float(days.scheduled.median())


def understood(value: bytes) -> tuple[str, dict, int]:
    """Type, payload and delay in minutes; raises an error for what is no event."""
    event = json.loads(value)
    payload, version = event["payload"], event["event_version"]
    if event["event_type"] not in KINDS or version not in (1, 2) or not isinstance(payload["flight"], str):
        raise ValueError(value)
    if event["event_type"] == CANCELLED:
        return CANCELLED, payload, 0
    return event["event_type"], payload, payload["delay"] + 0 if version == 1 else payload["delay_seconds"] // 60


def answered(records) -> tuple[dict, set, set]:
    """What a reader answers that keeps the highest revision of each flight: cells, flights late now, alarms."""
    left, ended, cancelled, places = {}, {}, set(), {}
    for record in records:
        try:
            kind, payload, delay = understood(record.value)
        except (ValueError, KeyError, TypeError):
            assert not record.event_id, record
            continue
        assert record.event_id
        flight = payload["flight"]
        places[flight] = Cell(payload["day"], payload["airport"], payload["carrier"])
        if kind == CANCELLED:
            cancelled.add(flight)
        elif kind == DEPARTED:
            left[flight] = delay
        else:
            ended[flight] = max(ended.get(flight, (0, 0)), (payload.get("revision", 1), delay))
    cells = defaultdict(Counter)
    for flight in left:
        cells[places[flight]]["departed"] += 1
    for flight in cancelled:
        cells[places[flight]]["cancelled"] += 1
    for flight, (_, delay) in ended.items():
        cells[places[flight]].update(arrived=1, minutes=delay)
    late = {each for each, delay in left.items() if delay >= LATE and each not in ended}
    return cells, late, {each for each, delay in left.items() if delay >= ALARM}


@pytest.mark.parametrize("trouble", [CALM, EVERYTHING])
def test_the_events_tell_what_pandas_computes_from_the_data(days, trouble):
    """Whatever is corrected, repeated, spoiled or of a new version; also at noon, with flights in the air."""
    for now in (noon(days), float("inf")):
        told = list(telling.tell(days, 1, trouble, now))
        cells, late, alarms = answered(told)
        right = truth.at(days, now)
        assert {
            cell: {name: numbers[name] for name in right.cells[cell]} for cell, numbers in cells.items()
        } == right.cells
        assert late == right.late
        assert alarms == right.alarms
        assert right.late


def test_the_same_seed_tells_the_same_story_and_in_order_of_time(days):
    """Another seed corrects other flights."""
    told = [list(telling.tell(days, seed, EVERYTHING)) for seed in (1, 1, 2)]
    assert told[0] == told[1] != told[2]
    assert [each.time for each in told[0]] == sorted(each.time for each in told[0])


def test_trouble_is_as_described(days):
    """Repetitions are whole records again, poison is unique, both versions occur, and the calm story has none of it."""
    told = list(telling.tell(days, 1, EVERYTHING))
    again = [each for each in told if each.repeats]
    firsts = {each.value for each in told if each.event_id and not each.repeats}
    assert len(again) > 50
    assert {each.value for each in again} <= firsts
    poison = Counter(each.value for each in told if not each.event_id)
    assert len(poison) > 50
    assert set(poison.values()) == {1}
    assert {json.loads(each.value)["event_version"] for each in told if each.event_id} == {1, 2}
    assert len(list(telling.tell(days, 1))) == 2 * days.arrived.notna().sum() + (
        (days.departed.notna() & days.arrived.isna()).sum() + days.departed.isna().sum()
    )


def test_days_without_flights_get_a_sentence(settings):
    """The data is of 2013."""
    with pytest.raises(LabError, match="no flights from 2014"):
        flights.read(flights.fetch(settings), "2014-01-01", "2014-01-02")
