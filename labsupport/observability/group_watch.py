"""What is wrong with the groups of a cluster, in words, from one snapshot after another. Pure: `lab.py watch` shows it.

A rule needs to look back; until then, and with `lab.py watch --once`, the words are about the moment only.
"""

import re
from dataclasses import dataclass, replace

from kafka import TopicPartition

from labsupport.console import counted
from labsupport.experiments.watching.lag_series import Sample
from labsupport.groups import Group
from labsupport.observability import alerts
from labsupport.observability.alerts import Limits
from labsupport.observability.group_lag import GroupProgress, Progress, Snapshot
from labsupport.observability.sampling import samples_of
from labsupport.transactions import waiting

DEAD_LETTERS = re.compile(r".+[-._](dlt|dlq)", re.IGNORECASE)  # as in alert_rules.yml
AT_REST = ("Stable", "Empty", "Dead")


@dataclass(frozen=True)
class Row:
    """A group: what it is, and what is wrong with it (a sentence each).

    `age`: seconds, None if unknown. `rebalanced`: seconds since its assignment was seen to change; None if it was not.
    """

    group: str
    state: str
    members: int
    lag: int
    age: float | None
    rebalanced: float | None
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class DeadLetters:
    """A topic of dead letters: how many offsets it holds, and how many are new since the watch began."""

    topic: str
    held: int
    new: int


@dataclass(frozen=True)
class View:
    """What there is to show at `time` (seconds since 1970): groups with something wrong first.

    Of the partitions that are `leaderless` nothing is known.
    """

    time: float
    rows: tuple[Row, ...]
    dead_letters: tuple[DeadLetters, ...]
    leaderless: tuple[TopicPartition, ...] = ()


class GroupWatch:
    """Sees one snapshot after another."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self._begun: float | None = None
        self._series: dict[tuple[str, TopicPartition], list[Sample]] = {}
        self._assignments: dict[str, tuple[object, float | None]] = {}  # and when they were seen to change
        self._first_ends: dict[TopicPartition, int] = {}

    def see(self, snapshot: Snapshot) -> View:
        """Take in a snapshot, and say what there is to show."""
        self._begun = self._begun or snapshot.time
        before = self._series
        self._series = {}
        rows = []
        for each in snapshot.groups:
            self._remember(each, snapshot.time - self._begun, before)
            rows.append(self._row(each, snapshot.time))
        for partition, end in snapshot.ends.items():
            self._first_ends.setdefault(partition, end)
        rows.sort(key=lambda row: (not row.wrong, row.group))
        return View(snapshot.time, tuple(rows), tuple(self._dead_letters(snapshot)), snapshot.leaderless)

    def _remember(
        self, group: GroupProgress, at: float, before: dict[tuple[str, TopicPartition], list[Sample]]
    ) -> None:
        """Add to each partition's samples, and forget those that no rule looks back to."""
        for progress, now in zip(group.partitions, samples_of(group, at), strict=True):
            key = group.group.name, TopicPartition(progress.topic, progress.partition)
            earlier = before.get(key, [])
            first = next((n for n, each in enumerate(earlier) if each.at > at - self.limits.window), len(earlier))
            self._series[key] = [*earlier[max(0, first - 1) :], now]

    def _row(self, each: GroupProgress, now: float) -> Row:
        group = each.group
        assignment = {member.id: member.partitions for member in group.members}
        known, changed = self._assignments.get(group.name, (assignment, None))
        if known != assignment:
            changed = now
        self._assignments[group.name] = assignment, changed
        rebalanced = None if changed is None else now - changed
        return Row(
            group.name, group.state, len(group.members), each.lag, each.age, rebalanced, tuple(self._wrong(each))
        )

    def _wrong(self, each: GroupProgress) -> list[str]:
        said = [] if each.group.state in AT_REST else [f"it is in the middle of a rebalance ({each.group.state})"]
        nobody = [progress for progress in each.partitions if progress.waits and not each.group.members]
        if nobody:
            return [*said, *self._of_nobody(each.group, nobody)]
        said += [words for progress in each.partitions if (words := self._of_partition(each.group, progress))]
        return said or self._of_silence(each)

    def _of_nobody(self, group: Group, left: list[Progress]) -> list[str]:
        series = [self._series[group.name, TopicPartition(each.topic, each.partition)] for each in left]
        if any(each[0].committed != each[-1].committed for each in series):
            return []  # a consumer without membership reads it
        records = f"{counted(sum(each.lag for each in left), 'record')} of {_topics(left)}"
        arrive = any(each[-1].end > each[0].end for each in series)
        held = f"; {words}" if (words := _held_up(left)) else ""
        return [f"no member reads it, and records {'arrive' if arrive else 'wait'}: {records}{held}"]

    def _of_partition(self, group: Group, progress: Progress) -> str:
        where = f"{progress.topic}/{progress.partition}"
        series = self._series[group.name, TopicPartition(progress.topic, progress.partition)]
        old = f"its oldest record is {in_words(progress.age or 0)} old"
        if "out of range" in progress.note:
            return f"{where}: {progress.note}"
        if alerts.stuck_partition(series, self.limits):
            at = progress.offsets.end - progress.lag
            poison = "poison, or a handler that hangs"
            if progress.hidden >= progress.lag:
                poison = " ".join(["a transaction that never ends", *(f"({each})" for each in progress.holders)])
            return f"{where} stands still at offset {at}, {old}: {poison}?"
        if alerts.falling_behind(series, self.limits):
            return f"{where} falls behind: {counted(progress.lag, 'record')} wait, {old}"
        if (progress.age or 0) > self.limits.age and len(series) == 1:
            return f"{where}: {old}, and {counted(progress.lag, 'record')} wait"
        return ""

    def _of_silence(self, each: GroupProgress) -> list[str]:
        series = [self._series[each.group.name, TopicPartition(p.topic, p.partition)] for p in each.partitions]
        if series and all(alerts.nobody_reads(one, self.limits) for one in series):
            return ["no member; without traffic nobody notices"]
        return []

    def _dead_letters(self, snapshot: Snapshot) -> list[DeadLetters]:
        found: dict[str, DeadLetters] = {}
        for partition, end in snapshot.ends.items():
            if DEAD_LETTERS.fullmatch(partition.topic):
                sums = found.get(partition.topic, DeadLetters(partition.topic, 0, 0))
                held, new = end - snapshot.begins[partition], end - self._first_ends[partition]
                found[partition.topic] = replace(sums, held=sums.held + held, new=sums.new + new)
        return [found[topic] for topic in sorted(found)]


def in_words(seconds: float) -> str:
    """A duration with one unit, such as `41 s`, `12 min`, `3 h` or `5 days`."""
    for unit, size, most in (("s", 1, 120), ("min", 60, 120), ("h", 3_600, 48)):
        if seconds < most * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def _held_up(left: list[Progress]) -> str:
    offsets, names = sum(each.hidden for each in left), {name for each in left for name in each.holders}
    return waiting(offsets, sorted(names)) if offsets else ""


def _topics(left: list[Progress]) -> str:
    return ", ".join(sorted({each.topic for each in left}))
