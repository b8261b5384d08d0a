"""Search for a crash that a handler or a loop does not survive: at every crash point of three events, then by seed.

The crash points are those that an undisturbed run passes: before and after each call of the handler, before each of its
SQL statements, before and after each commit. Within that scope the search is complete. It begins with the smallest
trials, so the first one that violates a property is the counterexample to show.
"""

import contextlib
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from kafka import KafkaConsumer

from labsupport.broker.cluster import Cluster
from labsupport.console import counted, progress
from labsupport.delivery.moments import NO_CRASH_POINTS, Kind, Moment
from labsupport.errors import LabError
from labsupport.experiments.breaking import faults, strategies
from labsupport.experiments.breaking.faults import Fault
from labsupport.experiments.breaking.strategies import Strategy
from labsupport.experiments.breaking.trial_runner import Outcome, Trial, TrialRunner
from labsupport.experiments.watching.balance import Sheet
from labsupport.shop import story
from labsupport.shop.event import Event

EVENTS = 3  # of each trial


@dataclass(frozen=True)
class Counterexample:
    """The smallest trial that violates a property.

    `violation`: lost, twice, orphans (effects without an event), again (handled again after a restart, although
    committed), uncommitted, or no end. `crash` and `result`: the two sentences of `summary`. `moments`: for
    `plots.spacetime`. `printed`: the code's output. `timed_out`: all that is known is that the time ran out.
    """

    violation: str
    crash: str
    result: str
    moments: tuple[Moment, ...]
    sheet: Sheet
    printed: str
    timed_out: bool = False

    @property
    def summary(self) -> str:
        """What happened, in two sentences."""
        return f"{self.crash} {self.result}"


@dataclass(frozen=True)
class SearchResult:
    """The number of trials, and the counterexample; None if there is none."""

    tried: int
    counterexample: Counterexample | None

    def __repr__(self) -> str:
        return (
            self.counterexample.summary
            if self.counterexample
            else f"{counted(self.tried, 'trial')}: nothing lost, and all of them ended."
        )


@dataclass(frozen=True)
class _Case:
    """The faults of a trial, and the sentence that describes them."""

    description: str
    faults: tuple[Fault, ...] = ()


def search(
    kafka: Cluster,
    *,
    consume: Callable[[KafkaConsumer, strategies.Handle], object] = strategies.worker,
    handle: Callable[[Event, sqlite3.Connection], object] = strategies.effect,
    settings: Mapping[str, object] = MappingProxyType({}),
    allow_duplicates: bool = False,
    events: int = EVENTS,
    seeds: int = 6,
    seconds: float = 10.0,
) -> SearchResult:
    """Try the loop and the handler in about forty trials, some at a time, with progress, until one fails.

    The process crashes at each point of each of `events` events, 1 to 3. The handler fails once at each event. The
    process freezes before it writes, and another takes over. It is thrown out of its group after handling. Then come
    seeds with two crashes each, and an event that is published again. Unless `allow_duplicates`, no event may have more
    than one effect. One process of a trial may take `seconds`. Raises LabError if a trial cannot be run.
    """
    trials = _Search(Strategy("yours", consume, handle, settings), allow_duplicates)
    published = _published(events)
    with TrialRunner(kafka, published, "crash-search", seconds=seconds) as lab:
        undisturbed = trials.run(lab, [_Case("Nothing crashed.")])
        trials.run(lab, _cases(undisturbed, seeds))
    if not trials.counterexample and not allow_duplicates:
        again = min(2, events)
        with TrialRunner(kafka, [*published, published[again - 1]], "crash-search", seconds=seconds) as lab:
            said = f"Event {again} was published twice: its producer sent it again, with the same id."
            trials.run(lab, [_Case(said)])
    return SearchResult(trials.tried, trials.counterexample)


def _published(number: int) -> list[Event]:
    """The first `number` of an order, its payment, and another order: two keys."""
    created, *later = (each for each in story.events(40, seed=1) if "order_id" in each.payload)
    paid = next(each for each in later if story.key_of(each) == story.key_of(created))
    other = next(each for each in later if story.key_of(each) != story.key_of(created))
    return [created, paid, other][:number]


def narrate(found: Counterexample) -> str:
    """What each process did, a line for each: events are numbered from 1, commits named by their offset."""
    lines: dict[str, list[str]] = {}
    for moment in found.moments:
        if moment.kind in (Kind.HANDLING, Kind.HANDLED):
            lines.setdefault(moment.client_id, []).append(f"{moment.kind} {_number(moment)}")
        elif moment.kind is Kind.COMMITTED:
            lines.setdefault(moment.client_id, []).append(f"committed {moment.offset}")
        elif moment.kind in (Kind.REFUSED, Kind.FROZEN, Kind.LOST):
            lines.setdefault(moment.client_id, []).append(moment.kind)
    return "\n".join(f"process {name}: {', '.join(steps)}" for name, steps in lines.items() if name != "producer")


class _Search:
    """Runs trials until one fails, and skips the rest."""

    def __init__(self, strategy: Strategy, allow_duplicates: bool):
        self.strategy, self.allow_duplicates = strategy, allow_duplicates
        self.tried = 0
        self.counterexample: Counterexample | None = None

    def run(self, lab: TrialRunner, cases: Sequence[_Case]) -> tuple[Moment, ...]:
        """Run these, unless one has failed already; return the moments of the last one."""
        moments: tuple[Moment, ...] = ()
        if self.counterexample:
            return moments
        trials = [Trial(self.strategy, case.faults) for case in cases]
        with contextlib.closing(lab.run(trials)) as outcomes:
            for case, outcome in progress("Trials", len(cases), "trial", over=zip(cases, outcomes, strict=True)):
                self.tried += 1
                moments = outcome.run.moments
                if violation := _violation(outcome, self.allow_duplicates):
                    self.counterexample = _counterexample(case, outcome, *violation, lab.events)
                    break
        return moments


def _cases(undisturbed: Sequence[Moment], seeds: int) -> list[_Case]:
    """The cases to try, smallest first; `undisturbed` are the moments of a run without a fault."""
    points: list[tuple[str, Fault]] = []
    passed: Counter[str] = Counter()
    passing = [moment for moment in undisturbed if moment.kind not in NO_CRASH_POINTS]
    for number, moment in enumerate(passing):
        following = passing[number + 1] if number + 1 < len(passing) else None
        passed[moment.point] += 1
        points.append((_where(moment, following), faults.crash(moment.point, passed[moment.point])))
    cases = [_Case(f"The process died {where}.", (crash,)) for where, crash in points]
    for number in range(1, passed[Kind.HANDLING] + 1):
        cases.append(_Case(f"The handler failed once, at event {number}.", (faults.fail(Kind.HANDLING, nth=number),)))
    for number in range(1, sum(moment.kind is Kind.WRITING for moment in undisturbed) + 1):
        description = f"The process froze before it wrote for event {number}; another took over, and it woke up."
        cases.append(_Case(description, (faults.freeze(Kind.WRITING, number),)))
    for number in range(1, passed[Kind.HANDLED] + 1):
        description = f"The process was thrown out of its group after handling event {number}, and died rejoining."
        cases.append(_Case(description, (faults.throw_out(Kind.HANDLED, number), faults.crash(Kind.LOST))))
    for seed in range(1, seeds + 1) if points else ():
        chance = random.Random(seed)
        (where, crash), (elsewhere, other) = (points[chance.randrange(len(points))] for _ in range(2))
        cases.append(_Case(f"One process died {where}, and one {elsewhere}.", (crash, other)))
    return cases


def _where(moment: Moment, following: Moment | None) -> str:
    if moment.kind in (Kind.COMMITTING, Kind.COMMITTED):
        return f"{'before' if moment.kind is Kind.COMMITTING else 'after'} it committed offset {moment.offset}"
    number = _number(moment)
    around = {Kind.HANDLING: f"before it handled event {number}", Kind.HANDLED: f"after it handled event {number}"}
    # BEGIN alone is ambiguous: there may be several.
    statement = f"BEGIN (then {following.point})" if moment.name == "BEGIN" and following else moment.point
    return around.get(moment.kind, f"while it handled event {number}, just before its SQL statement {statement}")


def _number(moment: Moment) -> int:
    return (moment.offset or 0) + 1


def _violation(outcome: Outcome, allow_duplicates: bool) -> tuple[str, str] | None:
    """The violated property, and a sentence about it; None if all hold.

    Raises LabError if an event is lost and no process reported a moment: nothing can show how.
    """
    sheet, run = outcome.sheet, outcome.run
    if run.timed_out:
        return "no end", f"It did not reach the end of the topic: {run.problem}"
    if lost := _numbers(sheet, "lost"):
        if not run.moments:
            raise LabError("A trial could not be judged.", "no process reported what it did")
        return "lost", f"Event {lost[0]} is lost: its group has committed past it, and it has no effect."
    if sheet.orphans:
        return "orphans", f"There is an effect of {sheet.orphans[0]!r}, which is the id of no event."
    if (twice := _numbers(sheet, "twice")) and not allow_duplicates:
        effects = next(entry.effects for entry in sheet.entries if entry.effects > 1)
        return "twice", f"Event {twice[0]} came again and now has {counted(effects, 'effect')}."
    if run.problem:
        return "no end", f"It did not reach the end of the topic: {run.problem}"
    if again := _again(run.moments):
        number, committed = again
        return (
            "again",
            f"Event {number} was handled again by a process that started when offset {committed} was committed.",
        )
    if outcome.lag:
        records = counted(outcome.lag, "record")
        return "uncommitted", f"It ended with {records} uncommitted, which a restart handles again."
    return None


def _again(moments: Sequence[Moment]) -> tuple[int, int] | None:
    """The first event handled although it was committed when its process started, and that offset; None if none."""
    committed, at_start = 0, dict[str, int]()
    for moment in moments:
        start = at_start.setdefault(moment.client_id, committed)
        if moment.kind is Kind.HANDLING and (moment.offset or 0) < start:
            return _number(moment), start
        if moment.kind is Kind.COMMITTED:
            committed = max(committed, moment.offset or 0)
    return None


def _numbers(sheet: Sheet, outcome: str) -> list[int]:
    ids = [entry.event_id for entry in sheet.entries]
    return [ids.index(each) + 1 for each in sheet.ids(outcome)]


def _counterexample(
    case: _Case, outcome: Outcome, violation: str, result: str, events: Sequence[Event]
) -> Counterexample:
    run = outcome.run
    begin = run.moments[0].time if run.moments else 0.0
    sent = [
        Moment(Kind.SENT, begin, "producer", (), offset, story.key_of(event).decode(), event.event_id)
        for offset, event in enumerate(events)
    ]
    printed = "".join(process.printed for process in run.processes)
    moments = (*sent, *run.moments)
    return Counterexample(violation, case.description, result, moments, outcome.sheet, printed, run.timed_out)
