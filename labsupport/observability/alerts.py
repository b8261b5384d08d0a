"""Alert rules on a group's series: which of them should wake somebody? Pure. Lesson 14.

Each rule gets the samples of one partition so far and answers for the last moment. `config/alert_rules.yml` has the
same rules for Prometheus, with the limits of `PRODUCTION`; the tests judge both on the same series.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from labsupport.experiments.watching.lag_series import Sample, by_partition


@dataclass(frozen=True)
class Limits:
    """`age`: how old (s) an unprocessed record may get. `window`: how far (s) a rule looks back."""

    age: float
    window: float


PRODUCTION = Limits(age=300, window=300)
QUICK = Limits(age=5, window=5)  # for experiments: a minute passes in a second

SHORTER = 0.6  # a window within the age's limit, or the rise of a batch would still be in it

Rule = Callable[[Sequence[Sample], Limits], bool]


def dead_consumer(samples: Sequence[Sample], limits: Limits) -> bool:
    """Records wait, the group has no member, and nothing was committed: consumers without membership commit too."""
    seen = _window(samples, limits.window)
    return bool(seen) and all(each.members == 0 and each.lag > 0 for each in seen) and _stands(seen)


def stuck_partition(samples: Sequence[Sample], limits: Limits) -> bool:
    """A record is too old and nothing was committed, though the group has members: poison, or a handler that hangs."""
    seen = _window(samples, limits.window)
    return bool(seen) and _too_old(seen[-1], limits) and seen[-1].members > 0 and _stands(seen)


def falling_behind(samples: Sequence[Sample], limits: Limits) -> bool:
    """A record is too old, records are committed, and the lag gets no smaller: there are too many of them.

    A lag that gets smaller, as after a batch job, ends by itself.
    """
    seen = _window(samples, limits.window * SHORTER)
    return bool(seen) and _too_old(seen[-1], limits) and seen[-1].lag >= seen[0].lag and not _stands(seen)


def nobody_reads(samples: Sequence[Sample], limits: Limits) -> bool:
    """The group has no member and no lag: no traffic hides that it is dead. For a ticket, not for the night."""
    seen = _window(samples, limits.window)
    return bool(seen) and all(each.members == 0 and each.lag == 0 for each in seen)


RULES: dict[str, Rule] = {
    "ConsumerGroupDead": dead_consumer,
    "PartitionStuck": stuck_partition,
    "ConsumerFallingBehind": falling_behind,
    "NobodyReads": nobody_reads,
}


def first_firing(rule: Callable[[Sequence[Sample]], bool], samples: Iterable[Sample]) -> float | None:
    """When (`at` of a sample) the rule first fires in any partition; None if it never does."""
    moments = [
        series[count - 1].at
        for series in by_partition(samples).values()
        for count in range(1, len(series) + 1)
        if rule(series[:count])
    ]
    return min(moments, default=None)


def _window(samples: Sequence[Sample], seconds: float) -> Sequence[Sample]:
    """The samples of the last `seconds`; none if they do not reach back that far."""
    if not samples or samples[-1].at - samples[0].at < seconds:
        return ()
    begin = samples[-1].at - seconds
    return [each for each in samples if each.at >= begin]


def _stands(seen: Sequence[Sample]) -> bool:
    return len({each.committed for each in seen}) == 1


def _too_old(last: Sample, limits: Limits) -> bool:
    return last.age is not None and last.age > limits.age
