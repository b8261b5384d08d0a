"""14-2: the rule wakes somebody in every hour that needs it, in time, and sleeps otherwise; also on the broker."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.experiments.watching import lag_series

# Imported where it is used: the metrics that it measures belong to this lesson alone.
Samples = Sequence[tuple[Any, ...]]  # minute, lag, age, and what the exercise does not need

LATE, EARLY, WINDOW = 10, 3, 5  # minutes: wake from this age on, sleep up to this one, compare with so long before


def _wake(answer: Submission, lab: Lab) -> str:
    """Computed hours, plain ones first; then what was recorded on a broker; then three that happen there now."""
    from labsupport.observability import time_lapse

    hours = {name: time_lapse.Plan(arrivals, capacity).expected().samples for name, arrivals, capacity in _hours()}
    for name, samples in hours.items():
        _judge(answer, name, samples)
    for name, samples in hours.items():  # the first samples may be of an hour that has begun before
        _judge(answer, f"{name}, seen from minute 12 on", samples[12:24])
    changing = list(_changing())
    for name, arrivals, capacity in changing:
        samples = time_lapse.Plan(arrivals, capacity).expected().samples
        _judge(answer, name, samples, [n for n, each in enumerate(samples) if each.age >= EARLY])
    recorded = dict(_recorded())
    for name, seen in recorded.items():
        _judge(answer, name, seen)
    for name, arrivals, capacity in _on_the_broker():
        plan = time_lapse.Plan(arrivals, capacity)
        topic = lab.topic(CHECKED)
        _judge(answer, f"{name}, on the broker", time_lapse.play(lab, topic, lab.group(CHECKED), plan).samples)
    told = f"{len(hours) + len(changing)} hours, {len(recorded)} recordings, and 3 hours on the broker"
    return f"It woke somebody in time where it had to, and slept otherwise: {told}."


def _hours() -> Iterator[tuple[str, Sequence[int], Sequence[int]]]:
    """Name, arrivals and capacity in each minute."""
    ten, able, dead = (10,) * 40, (30,) * 40, (30,) * 8 + (0,) * 32
    yield "all is well", ten, able
    yield "the consumer dies at minute 8", (20,) * 40, dead
    yield "a batch job: 400 events in minute 6", (5,) * 6 + (400,) + (5,) * 33, able
    yield "the consumer dies at minute 8, and events are rare", (1, 0, 0, 0, 0) * 8, dead
    yield (
        "the consumer dies at minute 8; the last event comes at minute 12",
        (3,) * 13 + (0,) * 27,
        (9,) * 8 + (0,) * 32,
    )
    yield "a restart of three minutes", ten, (30,) * 10 + (0,) * 3 + (30,) * 27
    yield "no events after minute 8, the consumer is dead", (10,) * 8 + (0,) * 32, dead
    yield "a large batch job: 4000 events in minute 6", (0,) * 6 + (4000,) + (0,) * 33, (200,) * 40
    yield "too slow: 30 events a minute, of which it handles 20", (30,) * 40, (20,) * 40
    yield "too slow, and it handles 40 or 0 in turns", (30,) * 40, (40, 0) * 20
    yield "it handles 40 events every fourth minute", ten, (0, 0, 0, 40) * 10
    yield "the consumer dies at minute 5, comes back at minute 20", ten, (30,) * 5 + (0,) * 15 + (60,) * 20
    yield "a single event, in minute 9, and the consumer is dead", (0,) * 9 + (1,) + (0,) * 30, (0,) * 40
    yield "the consumer dies at minute 2, comes back at minute 48", (10,) * 60, (30,) * 2 + (0,) * 46 + (12,) * 12


def _changing() -> Iterator[tuple[str, Sequence[int], Sequence[int]]]:
    """Hours whose traffic and capacity change every few minutes, from a few events to thousands a minute."""
    source = random.Random(14)
    for number in range(24):
        size = 10 ** (number % 4)
        arrivals = _levels(source, (0, 1, 2, 4), size)
        capacity = _levels(source, (0, 0, 1, 2, 5), size)
        yield f"traffic and capacity change every few minutes, hour {number + 1}", arrivals, capacity


def _levels(source: random.Random, levels: Sequence[int], size: int) -> tuple[int, ...]:
    """Forty minutes: one of the levels, times `size`, for up to eight minutes, then another."""
    minutes: list[int] = []
    while len(minutes) < 40:
        minutes += [source.choice(levels) * size] * source.randint(1, 8)
    return tuple(minutes[:40])


def _recorded() -> Iterator[tuple[str, Samples]]:
    """A service on a broker, by partition; in the recordings a second stands for a minute."""
    for name, samples in lag_series.read().items():
        for partition, series in lag_series.by_partition(samples).items():
            minutes = {int(each.at): (int(each.at), each.lag, each.age or 0.0) for each in series if each.at % 1 == 0}
            yield f"{name}: recorded on a broker, partition {partition}", list(minutes.values())


def _on_the_broker() -> Iterator[tuple[str, Sequence[int], Sequence[int]]]:
    yield "the consumer dies at minute 4", (2,) * 18, (9,) * 4 + (0,) * 14
    yield "a batch job: 90 events in minute 3", (1,) * 3 + (90,) + (1,) * 16, (7,) * 20
    yield "too slow: 6 events a minute, of which it handles 2", (6,) * 20, (2,) * 20


def _judge(answer: Submission, name: str, samples: Samples, asked: Sequence[int] = ()) -> None:
    """Ask in every minute of the hour, as an alert is asked; or after the samples with these numbers only."""
    for now in asked or range(len(samples)):
        seen = [(minute, lag, age) for minute, lag, age, *_ in samples[: now + 1]]
        woke = answer(seen, returns=bool, asks="True or False")
        _require(name, seen, woke)


def _require(name: str, seen: Samples, woke: bool) -> None:
    minute, lag, age = seen[-1]
    before = seen[-1 - WINDOW][1] if len(seen) > WINDOW else None
    facts: dict[str, Any] = {"given": _told(name, seen), "came_back": shown(woke)}
    if woke and lag == 0:
        raise TryAgain(
            says=f"Minute {minute}: it wakes somebody, and nothing waits.", **facts,
            rule="an alert that goes on when the fault is over gets switched off by those whom it wakes",
            look_at="the last sample is now",
        )  # fmt: skip
    if woke and age <= EARLY:
        raise TryAgain(
            says=f"Minute {minute}: it wakes somebody, and nothing has waited longer than {age:g} minutes.", **facts,
            rule=f"up to {EARLY} minutes are allowed: a restart takes as long",
            look_at="a number of records says nothing about how long they wait",
        )  # fmt: skip
    if woke and before is not None and lag < before:
        raise TryAgain(
            says=f"Minute {minute}: it wakes somebody, and the group is catching up.", **facts,
            rule=f"the lag is {lag}, and was {before} five minutes before: it gets there without anybody's help",
            look_at="an old event alone is no reason: how has the lag changed in the last five minutes? Five minutes "
            "before the last of the samples is the sixth from the end",
        )  # fmt: skip
    if not woke and age >= LATE and before is not None and lag >= before:
        how = f"it does not grow, it stays at {lag}" if lag == before else f"it was {before} five minutes before"
        raise TryAgain(
            says=f"Minute {minute}: it sleeps, and an event has waited for {age:g} minutes.", **facts,
            rule=f"the lag is {lag}: {how}, so the group is not catching up",
            look_at="must the lag grow, or is it enough that it does not get smaller?"
            if lag == before
            else "from which age on does it wake, and with the lag of which minute does it compare?",
        )  # fmt: skip


def _told(name: str, seen: Samples) -> str:
    last = ", ".join(f"({minute}, {lag}, {age:g})" for minute, lag, age in seen[-7:])
    return f"{name}\nthe last samples (minute, lag, age): {last}"


EXERCISE = Exercise(
    id="14-2",
    title="When to wake somebody",
    difficulty="medium",
    minutes=7,
    call="wake(samples)",
    hints=(
        "What differs between a batch job that is being worked off and a consumer that is dead, if in both the oldest "
        "event is ten minutes old?",
        "The last sample says how long an event has waited. The lag five minutes before says whether the group is "
        "catching up.",
        "`samples[-1]` is now, and `samples[max(0, len(samples) - 6)]` is five minutes before, or the first. Wake if "
        "the age is above a limit between 3 and 10, and the lag is no smaller than before.",
    ),
    explanation="A number of records is no limit: 40 can be too many, and 4,000 none of your business. The age says "
    "what the customer notices, and the trend says whether help is needed. A lag that stands still, because "
    "nothing arrives any more, is no smaller either. Compare over some minutes: in single ones, a group that falls "
    "behind can look as if it caught up.",
    judge=_wake,
    seconds=8.0,
)
