"""Strategies × crash points × seeds, on the real broker: what is lost, what is processed twice, what came again.

Each trial reads the same events in a group of its own; its processes really die. `python3 lab.py crashlab` plays
hundreds of them; lesson 07 a dozen.
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labsupport.broker.cluster import Cluster
from labsupport.console import progress
from labsupport.delivery.moments import Kind
from labsupport.errors import LabError
from labsupport.experiments.breaking import faults
from labsupport.experiments.breaking.faults import Fault
from labsupport.experiments.breaking.strategies import STRATEGIES, Strategy
from labsupport.experiments.breaking.trial_runner import Ended, Job, TrialRunner
from labsupport.files import digest
from labsupport.shop import story

if TYPE_CHECKING:
    import pandas

EVENTS = 12  # of each trial
COUNTED = ("lost", "twice", "redelivered")

# What happens to the process when it is at a point the nth time.
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
    """How one trial ended: `lost` and `twice` count events, `redelivered` records.

    `struck`: whether there was such a point at all (a handler without a mark has nothing between effect and mark).
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
        """A row for each strategy: how many trials struck, and of all these the sums of COUNTED."""
        import pandas  # here, because it takes longer to import than all the rest of a lesson

        rows = {}
        for name in dict.fromkeys(each.strategy for each in self.results):
            those = [each for each in self.results if each.strategy == name and each.struck]
            rows[name] = [len(those), *(sum(getattr(each, what) for each in those) for what in COUNTED)]
        return pandas.DataFrame.from_dict(rows, "index", columns=["trials", *COUNTED]).rename_axis("strategy")

    def cells(self, what: str) -> "pandas.DataFrame":
        """Strategies (rows) by points (columns): `what`, one of COUNTED, as a mean per trial.

        Nothing (NaN) where the strategy has no such point.
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
    file: Path | None = None,
) -> Matrix:
    """Play each strategy at each point (names in POINTS), once for each seed from 1: it decides at which event.

    Two at a time, with a progress bar. With `file`, each result is kept there as a line of JSON when its trial has
    ended, and what is there already is not played again. Raises LabError if a trial has no end.
    """
    points = list(points)
    if unknown := [point for point in points if point not in POINTS]:
        raise LabError(f"There is no crash point {unknown[0]!r}.", f"there are: {', '.join(POINTS)}")
    known = {_key(each): each for each in (read(file) if file else ())}
    wanted = [(strategy, point, seed) for seed in range(1, seeds + 1) for strategy in strategies for point in points]
    missing = [each for each in wanted if (each[0].name, *each[1:]) not in known]
    jobs = [Job(strategy, POINTS[point](_nth(strategy, point, seed))) for strategy, point, seed in missing]
    with (
        TrialRunner(kafka, story.events(EVENTS, seed=1), "crashes") as lab,
        contextlib.closing(lab.play(jobs)) as played,
    ):
        bar = progress("Trials", len(missing), "trial", over=zip(missing, played, strict=True))
        for (strategy, point, seed), ended in bar:
            if ended.played.problem:
                raise LabError(f"No end: {strategy.name}, {point}, seed {seed}.", ended.played.problem)
            result = _result(strategy, point, seed, ended)
            known[_key(result)] = result
            if file:
                with file.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(asdict(result)) + "\n")
    return Matrix(tuple(known[strategy.name, point, seed] for strategy, point, seed in wanted))


def read(file: Path) -> tuple[Result, ...]:
    """The results that are kept in the file; none if there is no such file. Raises LabError if it is something else."""
    if not file.exists():
        return ()
    try:
        return tuple(Result(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines())
    except (ValueError, TypeError) as error:
        raise LabError(f"{file} holds no results of trials.", str(error), "delete it, or name another file") from error


def _nth(strategy: Strategy, point: str, seed: int) -> int:
    """At which event, or commit, it happens: the same for the same seed on every machine."""
    batch = strategy.settings.get("max_poll_records", 1) if "commit" in point else 1
    return 1 + int(digest(strategy.name, point, str(seed)), 16) % (EVENTS // batch)


def _result(strategy: Strategy, point: str, seed: int, ended: Ended) -> Result:
    nth = _nth(strategy, point, seed)
    struck = ended.played.passed(POINTS[point](nth)[0].point) >= nth
    sheet, again = ended.sheet, ended.played.redelivered
    return Result(strategy.name, point, seed, nth, struck, sheet.count("lost"), sheet.count("twice"), again)


def _key(result: Result) -> tuple[str, str, int]:
    return result.strategy, result.point, result.seed
