"""The capstone's data, the events that tell it, and the truth that pandas computes from it."""

import json
from collections import Counter, defaultdict

import pytest

from labsupport.capstone import flights, plans, telling, truth
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


def test_a_burst_has_poison_of_each_kind_with_the_keys_of_the_story(days):
    """All of it differs, also from the story's own."""
    told = list(telling.tell(days, 1, EVERYTHING))
    burst = telling.burst(told, 3 * len(telling.POISON))
    assert len({each.value for each in (*burst, *told) if not each.event_id}) == len(burst) + sum(
        not each.event_id for each in told
    )
    assert {each.key for each in burst} <= {each.key for each in told}
    assert len({each.key for each in burst}) > 5


def test_an_event_of_version_2_says_the_same(days):
    """Seconds for minutes, and a field that the contract does not describe; poison stays as it is."""
    for each in telling.tell(days, 1, EVERYTHING):
        newer = telling.newer(each)
        if not each.event_id:
            assert newer == each
            continue
        before, after = json.loads(each.value), json.loads(newer.value)
        assert after["event_version"] == 2
        assert set(after["payload"]) - set(before["payload"]) <= {"gate", "delay_seconds"}
        if "delay" in before["payload"]:
            assert after["payload"]["delay_seconds"] == 60 * before["payload"]["delay"]


@pytest.mark.parametrize("level", ["gold", "diamond"])
def test_the_act_that_brings_version_2_comes_before_july_does(settings, level):
    """So a service that goes by the date meets events that it does not understand."""
    for seed in range(1, 4):
        plan = plans.torture(level, seed)
        (act,) = (each for each in plan.acts if each.kind == plans.NEW_VERSION)
        records = list(telling.tell(flights.read(flights.fetch(settings), plan.first, plan.last), seed, plan.trouble))
        later = [json.loads(each.value) for each in records[round(act.at * len(records)) :] if each.event_id]
        assert sum(event["event_version"] == 1 for event in later) > 300


def test_days_without_flights_get_a_sentence(settings):
    """The data is of 2013."""
    with pytest.raises(LabError, match="no flights from 2014"):
        flights.read(flights.fetch(settings), "2014-01-01", "2014-01-02")
