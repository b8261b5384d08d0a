"""The capstone's balance sheet, plans, wrong services and certificate: what is decided without a broker."""

import dataclasses
import json
import re
from datetime import date

import pytest

from labsupport.capstone import certificate, failing_story, flights, plans, sheet, telling, truth
from labsupport.capstone.contract import Cell
from labsupport.capstone.plans import LEVELS, STEPS, Act
from labsupport.capstone.service import SETTINGS, command
from labsupport.capstone.sheet import Given, Placed, draw_up
from labsupport.capstone.telling import Trouble
from labsupport.capstone.torturer import Happening, Outcome
from labsupport.capstone.wrong_services import REFERENCES, WRONG
from labsupport.errors import LabError

CELL = Cell("2013-07-01", "EWR", "UA")


@pytest.fixture(scope="module")
def told(settings):
    """A day of version 2 as one partition, and the truth of it."""
    days = flights.read(flights.fetch(settings), "2013-07-01", "2013-07-01")
    records = telling.tell(days, 1, Trouble(corrected=0.1, poison=0.01))
    placed = tuple(
        Placed(0, offset, each.key, each.value, json.loads(each.value) if each.event_id else None)
        for offset, each in enumerate(records)
    )
    return truth.at(days, float("inf")), placed


def right(told) -> Given:
    """What a right service has given."""
    right, placed = told
    alarms = tuple((flight, f"{flight}/alarm") for flight in sorted(right.alarms))
    dead = tuple(each.value for each in placed if each.event is None)
    return Given(right.cells, right.late, alarms, dead, {0: len(placed)}, {0: len(placed)})


def with_numbers(given: Given, **numbers: int) -> Given:
    """Other numbers in one cell."""
    return dataclasses.replace(given, cells={**given.cells, CELL: {**given.cells[CELL], **numbers}})


def said(told, given: Given) -> list[str]:
    return draw_up(told[0], given, told[1]).sentences


def test_right_answers_balance(told):
    """And repeated alarms and dead letters with the same id and value are right, too."""
    given = right(told)
    assert draw_up(told[0], given, told[1]).balanced
    again = dataclasses.replace(given, alarms=(*given.alarms, *given.alarms[:3]), dead=(*given.dead, given.dead[0]))
    assert draw_up(told[0], again, told[1]).balanced
    assert draw_up(told[0], given, told[1]).poison == len(given.dead) > 5


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda g: with_numbers(g, arrived=g.cells[CELL]["arrived"] - 2), r"^Lost: .* no answer has 2 FlightArrived"),
        (lambda g: with_numbers(g, departed=g.cells[CELL]["departed"] + 1), r"^Twice: 1 FlightDeparted event counted"),
        (lambda g: with_numbers(g, minutes=1), r"^Wrong: each flight is counted once, but"),
        (lambda g: dataclasses.replace(g, alarms=g.alarms[1:]), r"^Lost: .* no alarm tells that 2013-07-01/"),
        (lambda g: dataclasses.replace(g, alarms=(*g.alarms, (g.alarms[0][0], "x"))), r"^Twice: .* has 2 alarms with"),
        (lambda g: dataclasses.replace(g, alarms=(*g.alarms, ("x", "x"))), r"^Wrong: an alarm for x, which needs none"),
        (lambda g: dataclasses.replace(g, alarms=(*g.alarms, ("", ""))), r"^Wrong: an alarm is not the event that"),
        (lambda g: dataclasses.replace(g, dead=g.dead[1:]), r"^Lost: .* what is no event \(partition 0, offset \d+\)"),
        (lambda g: dataclasses.replace(g, dead=(*g.dead, b"{}")), r"^Wrong: 1 dead letter with another value"),
        (lambda g: dataclasses.replace(g, late=frozenset()), r"^Wrong: .* is late now, and /late does not name it"),
        (lambda g: dataclasses.replace(g, late=g.late | {"x"}), r"^Wrong: /late names x, which is not late"),
        (lambda g: dataclasses.replace(g, committed={0: 10}), r"^Waiting: the group has not committed [\d,]+ records"),
        (lambda g: dataclasses.replace(g, committed={}), r"^Waiting: the group has never committed, so a restart"),
        (lambda g: dataclasses.replace(g, committed={}, cells={}), r"^Waiting: the group has never committed, and no"),
        (lambda g: dataclasses.replace(g, overdue=frozenset([g.alarms[0][0]])), r"^Late: .* the alarm for 2013-07-01/"),
        (lambda g: dataclasses.replace(g, overdue_dead=frozenset(g.dead[:1])), r"^Late: .* was set aside only after a"),
        (lambda g: dataclasses.replace(g, counters={}), r"^Wrong: /metrics says capstone_events_total nothing"),
    ],
)  # fmt: skip
def test_each_difference_has_its_sentence(told, change, sentence):
    """The first sentence names the worst that differs, with a place to look at."""
    first, *_ = said(told, change(right(told)))
    assert re.search(sentence, first), first


def test_wrong_minutes_are_explained_by_what_made_them(told):
    """The last record in the log, the first report, or seconds taken for minutes."""
    of_cell = [each for each in told[1] if each.cell == CELL and each.event["event_type"] != "FlightDeparted"]
    by_flight, first, raw = {}, {}, {}
    for each in of_cell:
        payload = each.event["payload"]
        if each.delay is not None:
            by_flight[payload["flight"]] = each.delay
            first.setdefault(payload["flight"], each.delay)
            new = (payload.get("revision", 1), payload["delay_seconds"])
            raw[payload["flight"]] = max(raw.get(payload["flight"], (0, 0)), new)
    given = right(told)
    for minutes, start in (
        (sum(by_flight.values()), "Out of order: an older value"),
        (sum(first.values()), "Lost: the group has committed past it, but a correction that came"),
        (sum(value for _, value in raw.values()), "Wrong: delay_seconds, of version 2"),
    ):
        assert minutes != given.cells[CELL]["minutes"]
        assert said(told, with_numbers(given, minutes=minutes))[0].startswith(start)


def test_the_smallest_story_names_the_record_and_the_act_near_it(told):
    """Of two cells with a loss, the one with fewer records; of its records, the one whose delay is missing."""
    right_answers, placed = told
    given = right(told)
    act = Happening(Act(plans.KILL, 0.5), 900, {0: 700}, {0: 720})
    drawn = draw_up(right_answers, given, placed)
    outcome = Outcome(plans.torture("bronze", 1), drawn, (act,), placed, given, right_answers)
    assert failing_story.smallest(outcome) is None
    lost = next(
        each
        for each in placed
        if each.event and each.event["event_type"] == "FlightArrived" and each.offset > 700 and each.cell == CELL
    )
    numbers = given.cells[CELL]
    fewer = with_numbers(given, arrived=numbers["arrived"] - 1, minutes=numbers["minutes"] - lost.delay)
    outcome = dataclasses.replace(outcome, given=fewer, sheet=draw_up(right_answers, fewer, placed))
    story = failing_story.smallest(outcome)
    assert story.record.event["event_type"] == "FlightArrived"
    assert abs(story.record.delay) == abs(lost.delay)
    assert "offset 700 was committed then, and 720 afterwards" in " ".join(story.lines)
    assert "smallest failing story" in repr(failing_story.draw(story).get_figure(root=True))


def test_a_plan_depends_on_level_and_seed_alone():
    """The acts that a level names all happen, in order of time, and there is time to catch up."""
    for name, level in LEVELS.items():
        for seed in range(1, 30):
            plan = plans.torture(name, seed)
            assert plan == plans.torture(name, seed)
            assert {act.kind for act in plan.acts} >= set(level.acts)
            places = [act.at for act in plan.acts]
            assert places == sorted(places)
            assert 0 < places[0] <= places[-1] < 0.99
            assert plan.first < plan.last
            assert (plan.first <= "2013-07-01" <= plan.last) == level.july or not level.july
    assert len({plans.torture("bronze", seed) for seed in range(10)}) == 10
    assert {plans.torture("bronze", seed).acts[0].kind for seed in range(1, 11)} == set(plans.CRASHES)


def test_the_levels_together_play_each_act():
    """But for those that only steps need. A flood brings days of its own."""
    played = {act.kind for name in LEVELS for act in plans.torture(name, 1).acts} | set(plans.CRASHES)
    assert set(plans.WORDS) - played == {plans.REPLAY, plans.PAUSE}
    flooded, calm = plans.torture("silver", 1), plans.torture("bronze", 1)
    assert calm.begin == calm.first
    assert date.fromisoformat(flooded.first) - date.fromisoformat(flooded.begin) == plans.FLOODED


def test_acts_of_a_plan_can_be_chosen_by_their_numbers():
    """Anything else gets a sentence with the numbers that there are."""
    plan = plans.torture("silver", 1)
    assert plans.only(plan, "0").acts == ()
    assert plans.only(plan, "3, 1").acts == (plan.acts[0], plan.acts[2])
    for wrong in ("", "0,1", "7", "-1", "flood"):
        with pytest.raises(LabError, match="this story has acts 1 to 6"):
            plans.only(plan, wrong)


def test_a_failed_story_shrinks_to_the_acts_that_it_needs(told):
    """It fails with both the third act and the fifth, so nothing smaller is kept; the bound is held."""
    right_answers, placed = told
    given = right(told)
    wrong = dataclasses.replace(given, alarms=given.alarms[1:])
    plan = plans.torture("diamond", 1)
    needed = {plan.acts[2], plan.acts[4]}

    def play(plan: plans.Plan) -> Outcome:
        answers = wrong if needed <= set(plan.acts) else given
        return Outcome(plan, draw_up(right_answers, answers, placed), (), placed, answers, right_answers)

    lines: list[str] = []
    assert set(failing_story.shrunk(play(plan), play, 100, lines.append).plan.acts) == needed
    assert lines[0].endswith(": no act")
    few: list[str] = []
    shrunk = failing_story.shrunk(play(plan), play, 3, few.append)
    assert len(few) == 3
    assert set(shrunk.plan.acts) == set(plan.acts[:6])


def test_unknown_levels_and_steps_get_a_sentence():
    """With the names that there are."""
    assert plans.step("1") == plans.step("starts")
    for wrong in ("0", "9", "stars"):
        with pytest.raises(LabError, match="There is no step"):
            plans.step(wrong)
    with pytest.raises(LabError, match="there are: bronze, silver, gold, platinum, diamond"):
        plans.torture("wood", 1)


def test_wrong_services_differ_from_their_references_and_run_as_python(tmp_path):
    """Every line that is replaced stands once in the reference; the result is a program."""
    assert len(WRONG) >= 5
    for wrong in WRONG.values():
        wrong.write(tmp_path)
        text = (tmp_path / "service.py").read_text(encoding="utf-8")
        compile(text, "service.py", "exec")
        assert text != (REFERENCES / wrong.client / "service.py").read_text(encoding="utf-8")
        assert wrong.caught in LEVELS or wrong.caught in STEPS


def test_the_command_of_a_service(tmp_path):
    """Its file, else `python service.py`; nonsense gets a sentence."""
    with pytest.raises(LabError, match="There is no service in"):
        command(tmp_path)
    (tmp_path / "service.py").touch()
    assert command(tmp_path) == ["python", "service.py"]
    for text in ('command = "python"', "command = []", "[", "x = 1"):
        (tmp_path / SETTINGS).write_text(text)
        with pytest.raises(LabError, match="does not say how the service starts"):
            command(tmp_path)
    (tmp_path / SETTINGS).write_text('command = ["python", "-m", "mine"]')
    assert command(tmp_path) == ["python", "-m", "mine"]


def test_answers_that_cannot_be_read_get_a_sentence():
    """The row, and what is wrong with it."""
    row = {"airport": "EWR", "carrier": "UA", "departed": 1, "arrived": 0, "cancelled": 0, "minutes": 0}
    assert sheet.read_cells("2013-07-01", [row, row | {"carrier": "AA", "departed": 0}]) == {
        CELL: {"departed": 1, "arrived": 0, "cancelled": 0, "minutes": 0}
    }
    for rows, seen in (
        ([{}], "KeyError: 'airport'"),
        ([row | {"minutes": None}], "TypeError"),
        ([row, row], "two rows"),
    ):
        with pytest.raises(LabError, match=seen):
            sheet.read_cells("2013-07-01", rows)


def test_the_certificate_is_for_one_version_of_the_code(settings, tmp_path, told):
    """A changed service begins anew; a cut-off line is left out."""
    own = dataclasses.replace(settings, home=tmp_path / "home")
    folder = tmp_path / "service"
    folder.mkdir()
    (folder / "service.py").write_text("one")
    given = right(told)
    outcome = Outcome(
        plans.torture("bronze", 7),
        draw_up(told[0], given, told[1]),
        (),
        told[1],
        given,
        told[0],
        seconds={"sheet": 1.0},
    )
    page = certificate.keep(own, folder, outcome).read_text(encoding="utf-8")
    assert "Held: bronze" in page
    with (own.home / certificate.FIGURES).open("a") as file:
        file.write('{"level": "bro')
    assert [line.seed for line in certificate.read(own)] == [7]
    failed = dataclasses.replace(outcome, problem="it has ended")
    assert "failed: seed 7" in certificate.keep(own, folder, failed).read_text(encoding="utf-8")
    (folder / "service.py").write_text("two")
    assert "Nothing held yet" in certificate.page(certificate.read(own), certificate.code_of(folder))
