"""The crash matrix: strategies × crash points × seeds on the real broker, counting lost, twice and redelivered.

Each trial reads the same events in a group of its own, and its processes really die. `python3 lab.py crashlab` runs
hundreds of trials, lesson 07 a dozen.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labsupport.broker.cluster import Cluster
from labsupport.console import progress
from labsupport.delivery.moments import Kind
from labsupport.errors import LabError
from labsupport.experiments.breaking import faults, results_file
from labsupport.experiments.breaking.faults import Fault
from labsupport.experiments.breaking.strategies import STRATEGIES, Strategy
from labsupport.experiments.breaking.trial_runner import Outcome, Trial, TrialRunner
from labsupport.files import digest
from labsupport.shop import story

if TYPE_CHECKING:
    import pandas

EVENTS = 12  # of each trial
COUNTED = ("lost", "twice", "redelivered")

# The faults of each crash point, by the nth time that the process passes it.
POINTS: dict[str, Callable[[int], tuple[Fault, ...]]] = {
    "before handling": lambda nth: (faults.crash(Kind.HANDLING, nth),),
    "between effect and mark": lambda nth: (faults.crash(Kind.SECOND_WRITE, nth),),
    "after handling": lambda nth: (faults.crash(Kind.HANDLED, nth),),
    "before commit": lambda nth: (faults.crash(Kind.COMMITTING, nth),),
    "after commit": lambda nth: (faults.crash(Kind.COMMITTED, nth),),
    "inside a rebalance": lambda nth: (faults.throw_out(Kind.HANDLED, nth), faults.crash(Kind.LOST)),
    "zombie": lambda nth: (faults.freeze(Kind.WRITING, nth),),
}


@dataclass(frozen=True)
class Result:
    """The result of one trial: `lost` and `twice` count events, `redelivered` counts records.

    `struck`: whether the strategy has this point (a handler without a mark has nothing between effect and mark).
    """

    strategy: str
    point: str
    seed: int
    nth: int
    struck: bool
    lost: int
    twice: int
    redelivered: int


@dataclass(frozen=True)
class Matrix:
    """The results of many trials."""

    results: tuple[Result, ...]

    @property
    def table(self) -> "pandas.DataFrame":
        """A row for each strategy: the number of trials that struck, and the sums of COUNTED over them."""
        import pandas  # imported here, because it is slower to import than the rest of a lesson

        rows = {}
        for name in dict.fromkeys(each.strategy for each in self.results):
            those = [each for each in self.results if each.strategy == name and each.struck]
            rows[name] = [len(those), *(sum(getattr(each, what) for each in those) for what in COUNTED)]
        return pandas.DataFrame.from_dict(rows, "index", columns=["trials", *COUNTED]).rename_axis("strategy")

    def cells(self, what: str) -> "pandas.DataFrame":
        """Strategies (rows) by points (columns): the mean per trial of `what`, one of COUNTED.

        NaN where the strategy has no such point.
        """
        import pandas

        frame = pandas.DataFrame([asdict(each) for each in self.results])
        rows, columns = frame.strategy.unique(), frame.point.unique()
        means = frame[frame.struck].pivot_table(index="strategy", columns="point", values=what, aggfunc="mean")
        return means.reindex(index=rows, columns=columns)


def run(
    kafka: Cluster,
    strategies: Sequence[Strategy] = STRATEGIES,
    points: Iterable[str] = tuple(POINTS),
    seeds: int = 1,
    *,
    nth: int | None = None,
    file: Path | None = None,
) -> Matrix:
    """Run each strategy at each point (names in POINTS), once for each seed from 1; the seed selects the event.

    With `nth` the fault strikes at the nth event, or at the nth commit, whatever the seed (without `file`).
    Some trials run at a time, with a progress bar. With `file`, each result is appended there as a line of JSON, and
    trials whose result is there are not run again. Raises LabError if a point is unknown or a trial does not end.
    """
    points = list(points)
    if unknown := [point for point in points if point not in POINTS]:
        raise LabError(f"There is no crash point {unknown[0]!r}.", f"there are: {', '.join(POINTS)}")
    known = {_key(each): each for each in (read(file) if file else ())}
    wanted = [(strategy, point, seed) for seed in range(1, seeds + 1) for strategy in strategies for point in points]
    missing = [each for each in wanted if (each[0].name, *each[1:]) not in known]
    struck_at = [nth or _nth(*each) for each in missing]
    trials = [Trial(strategy, POINTS[point](at)) for (strategy, point, _), at in zip(missing, struck_at, strict=True)]
    with (
        TrialRunner(kafka, story.events(EVENTS, seed=1), "crashes") as lab,
        contextlib.closing(lab.run(trials)) as outcomes,
    ):
        bar = progress("Trials", len(missing), "trial", over=zip(missing, struck_at, outcomes, strict=True))
        for (strategy, point, seed), at, outcome in bar:
            if outcome.run.problem:
                raise LabError(f"The trial did not end: {strategy.name}, {point}, seed {seed}.", outcome.run.problem)
            result = _result(strategy, point, seed, at, outcome)
            known[_key(result)] = result
            if file:
                results_file.append(file, [result])
    return Matrix(tuple(known[strategy.name, point, seed] for strategy, point, seed in wanted))


def read(file: Path) -> tuple[Result, ...]:
    """The results in the file; none if there is no such file. Raises LabError if it holds anything else."""
    return results_file.read(file, Result)


def _nth(strategy: Strategy, point: str, seed: int) -> int:
    """At which event or commit the fault strikes; the same for a seed on every machine."""
    batch = strategy.settings.get("max_poll_records", 1) if "commit" in point else 1
    return 1 + int(digest(strategy.name, point, str(seed)), 16) % (EVENTS // batch)


def _result(strategy: Strategy, point: str, seed: int, nth: int, outcome: Outcome) -> Result:
    struck = outcome.run.passed(POINTS[point](nth)[0].point) >= nth
    sheet, again = outcome.sheet, outcome.run.redelivered
    return Result(strategy.name, point, seed, nth, struck, sheet.count("lost"), sheet.count("twice"), again)


def _key(result: Result) -> tuple[str, str, int]:
    return result.strategy, result.point, result.seed
