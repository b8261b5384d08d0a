"""Whether somebody's handler, or loop, survives: every crash point of each of three events, then seeds.

The points are those that an undisturbed run passes: before and after each call of the handler, before each of its SQL
statements, before and after each commit. In that scope the search is complete, and it begins with the smallest: the
first trial that breaks a property is the story that is told.
"""

import contextlib
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from kafka import KafkaConsumer

from labsupport.broker.cluster import Cluster
from labsupport.console import counted, progress
from labsupport.delivery.moments import NO_CRASH_POINTS, Kind, Moment
from labsupport.errors import LabError
from labsupport.experiments.breaking import faults, strategies
from labsupport.experiments.breaking.faults import Fault
from labsupport.experiments.breaking.strategies import Strategy
from labsupport.experiments.breaking.trial_runner import Ended, Job, TrialRunner
from labsupport.experiments.watching.balance import Sheet
from labsupport.shop import story
from labsupport.shop.event import Event


@dataclass(frozen=True)
class Story:
    """The smallest trial in which a property did not hold.

    `broken` is lost, twice, strangers (effects of no event), again (committed, and handled again after a restart),
    uncommitted, or no end; `crash` and `result` are the two sentences of `says`. `moments` are for `plots.spacetime`;
    `printed` is what the code printed. `timed` says that no end was seen in the time allowed, and nothing else.
    """

    broken: str
    crash: str
    result: str
    moments: tuple[Moment, ...]
    sheet: Sheet
    printed: str
    timed: bool = False

    @property
    def says(self) -> str:
        """The story in two sentences."""
        return f"{self.crash} {self.result}"


@dataclass(frozen=True)
class Judgement:
    """How many trials were played, and the story of the one that failed; None if all went well."""

    tried: int
    story: Story | None

    def __repr__(self) -> str:
        return (
            self.story.says
            if self.story
            else f"{counted(self.tried, 'trial')}: nothing lost, and all came to their end."
        )


@dataclass(frozen=True)
class _Trial:
    """What a trial suffers, and the sentence that says so."""

    says: str
    faults: tuple[Fault, ...] = ()


def judge(
    kafka: Cluster,
    *,
    consume: Callable[[KafkaConsumer, strategies.Handle], object] = strategies.worker,
    handle: Callable[[Event, sqlite3.Connection], object] = strategies.effect,
    settings: Mapping[str, object] = MappingProxyType({}),
    twice_is_fine: bool = False,
    seeds: int = 6,
    seconds: float = 10.0,
) -> Judgement:
    """Try the loop and the handler, two trials at a time, with progress; some forty trials, or until one fails.

    The process crashes at each point of each event; the handler fails once at each event; before it writes the process
    is frozen, and another takes over; after handling it is thrown out of its group; then seeds, with two crashes each;
    and an event is published again. Unless `twice_is_fine`, no event may have more than one effect. One process of a
    trial may take `seconds`. Raises LabError if a trial could not be played.
    """
    search = _Search(Strategy("yours", consume, handle, settings), twice_is_fine)
    events = _three()
    with TrialRunner(kafka, events, "torture", seconds=seconds) as lab:
        calm = search.through(lab, [_Trial("Nothing crashed.")])
        search.through(lab, _trials(calm, seeds))
    if not search.story and not twice_is_fine:
        with TrialRunner(kafka, [*events, events[1]], "torture", seconds=seconds) as lab:
            search.through(lab, [_Trial("Event 2 was published twice: its producer sent it again, with the same id.")])
    return Judgement(search.tried, search.story)


def _three() -> list[Event]:
    """An order, its payment, and another order: two of three have one key."""
    created, *later = (each for each in story.events(40, seed=1) if "order_id" in each.payload)
    paid = next(each for each in later if story.key_of(each) == story.key_of(created))
    other = next(each for each in later if story.key_of(each) != story.key_of(created))
    return [created, paid, other]


def told(story: Story) -> str:
    """What the processes of the story did, a line for each: by event, counted from 1, and by committed offset."""
    lines: dict[str, list[str]] = {}
    for moment in story.moments:
        if moment.kind in (Kind.HANDLING, Kind.HANDLED):
            lines.setdefault(moment.client_id, []).append(f"{moment.kind} {_number(moment)}")
        elif moment.kind is Kind.COMMITTED:
            lines.setdefault(moment.client_id, []).append(f"committed {moment.offset}")
        elif moment.kind in (Kind.REFUSED, Kind.FROZEN, Kind.LOST):
            lines.setdefault(moment.client_id, []).append(moment.kind)
    return "\n".join(f"process {who}: {', '.join(does)}" for who, does in lines.items() if who != "producer")


class _Search:
    """Trials are played until one fails; the rest is left out."""

    def __init__(self, strategy: Strategy, twice_is_fine: bool):
        self.strategy, self.twice_is_fine = strategy, twice_is_fine
        self.tried, self.story = 0, None

    def through(self, lab: TrialRunner, trials: Sequence[_Trial]) -> tuple[Moment, ...]:
        """Play these, unless one has failed already; returns where the last one's processes were."""
        moments: tuple[Moment, ...] = ()
        if self.story:
            return moments
        jobs = [Job(self.strategy, trial.faults) for trial in trials]
        with contextlib.closing(lab.play(jobs)) as played:
            for trial, ended in progress("Trials", len(trials), "trial", over=zip(trials, played, strict=True)):
                self.tried += 1
                moments = ended.played.moments
                if broken := _broken(ended, self.twice_is_fine):
                    self.story = _story(trial, ended, *broken, lab.events)
                    break
        return moments


def _trials(calm: Sequence[Moment], seeds: int) -> list[_Trial]:
    """What to suffer, the smallest first: `calm` is where a process was that suffered nothing."""
    points: list[tuple[str, Fault]] = []
    passed: Counter[str] = Counter()
    told = [moment for moment in calm if moment.kind not in NO_CRASH_POINTS]
    for moment, following in pairwise([*told, None]):
        passed[moment.point] += 1
        points.append((_where(moment, following), faults.crash(moment.point, passed[moment.point])))
    trials = [_Trial(f"The process died {where}.", (crash,)) for where, crash in points]
    for number in range(1, passed[Kind.HANDLING] + 1):
        trials.append(_Trial(f"The handler failed once, at event {number}.", (faults.fail(Kind.HANDLING, nth=number),)))
    for number in range(1, sum(moment.kind is Kind.WRITING for moment in calm) + 1):
        says = f"The process was frozen before it wrote for event {number}; another took over, and then it was woken."
        trials.append(_Trial(says, (faults.freeze(Kind.WRITING, number),)))
    for number in range(1, passed[Kind.HANDLED] + 1):
        says = f"The process was thrown out of its group after it had handled event {number}, and died coming back."
        trials.append(_Trial(says, (faults.throw_out(Kind.HANDLED, number), faults.crash(Kind.LOST))))
    for seed in range(1, seeds + 1) if points else ():
        chance = random.Random(seed)
        (where, crash), (elsewhere, other) = (points[chance.randrange(len(points))] for _ in range(2))
        trials.append(_Trial(f"One process died {where}, and one {elsewhere}.", (crash, other)))
    return trials


def _where(moment: Moment, following: Moment | None) -> str:
    if moment.kind in (Kind.COMMITTING, Kind.COMMITTED):
        return f"{'before' if moment.kind == 'committing' else 'after'} it committed offset {moment.offset}"
    number = _number(moment)
    around = {Kind.HANDLING: f"before it handled event {number}", Kind.HANDLED: f"after it had handled event {number}"}
    # Of itself BEGIN says nothing: there may be several.
    statement = f"BEGIN (then {following.point})" if moment.name == "BEGIN" and following else moment.point
    return around.get(moment.kind, f"while it handled event {number}, just before its SQL statement {statement}")


def _number(moment: Moment) -> int:
    return (moment.offset or 0) + 1


def _broken(ended: Ended, twice_is_fine: bool) -> tuple[str, str] | None:
    """Which property does not hold, and the sentence that says so; None if all do.

    Raises LabError if an event is lost and no process told where it was: no story shows it.
    """
    sheet, played = ended.sheet, ended.played
    if played.late:
        return "no end", f"It did not come to the end of the topic: {played.problem}"
    if lost := _numbers(sheet, "lost"):
        if not played.moments:
            raise LabError("A trial could not be judged.", "no process told where it was")
        return "lost", f"Event {lost[0]} is lost: its group has committed past it, and it has no effect."
    if sheet.strangers:
        return "strangers", f"There is an effect of {sheet.strangers[0]!r}, which is the id of no event."
    if (twice := _numbers(sheet, "twice")) and not twice_is_fine:
        effects = next(entry.effects for entry in sheet.entries if entry.effects > 1)
        return "twice", f"Event {twice[0]} came again, and now it has {counted(effects, 'effect')}."
    if played.problem:
        return "no end", f"It did not come to the end of the topic: {played.problem}"
    if again := _again(played.moments):
        number, committed = again
        return "again", f"Event {number} was handled again, by a process that began when {committed} was committed."
    if ended.lag:
        return (
            "uncommitted",
            f"It came to its end with {counted(ended.lag, 'record')} uncommitted, which a restart does again.",
        )
    return None


def _again(moments: Sequence[Moment]) -> tuple[int, int] | None:
    """The first event that was handled though it was committed when its process began, and what was; None if none."""
    committed, at_begin = 0, dict[str, int]()
    for moment in moments:
        begin = at_begin.setdefault(moment.client_id, committed)
        if moment.kind is Kind.HANDLING and (moment.offset or 0) < begin:
            return _number(moment), begin
        if moment.kind is Kind.COMMITTED:
            committed = max(committed, moment.offset or 0)
    return None


def _numbers(sheet: Sheet, outcome: str) -> list[int]:
    ids = [entry.event_id for entry in sheet.entries]
    return [ids.index(each) + 1 for each in sheet.ids(outcome)]


def _story(trial: _Trial, ended: Ended, broken: str, result: str, events: Sequence[Event]) -> Story:
    begin = ended.played.moments[0].time if ended.played.moments else 0.0
    sent = [
        Moment(Kind.SENT, begin, "producer", (), offset, story.key_of(event).decode(), event.event_id)
        for offset, event in enumerate(events)
    ]
    printed = "".join(life.ended.printed for life in ended.played.runs)
    return Story(broken, trial.says, result, (*sent, *ended.played.moments), ended.sheet, printed, ended.played.late)
