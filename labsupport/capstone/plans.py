"""What a story does to a service: acts, each when a part of the flights is published. Pure.

A level and a seed decide everything but the moment of a kill, which is a random one while the service works.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from labsupport.capstone.telling import CALM, Trouble
from labsupport.errors import LabError

STOP, KILL, KILL_IN_OUTAGE, KILL_THROWN_OUT = "stop", "kill", "kill in an outage", "thrown out and killed"
FREEZE, JOIN, LEAVE = "freeze", "join", "leave"
BROKER_FREEZE, BROKER_STOP, BROKER_KILL = "broker freezes", "broker restarts", "broker dies"
FLOOD, POISON, NEW_VERSION, REBALANCE = "flood", "poison", "schema change", "rebalance"
REPLAY, PAUSE = "replay", "catch up"
WORDS = {
    STOP: "the service is stopped (SIGTERM) and started again",
    KILL: "the service is killed at work, and started again",
    KILL_IN_OUTAGE: "the broker freezes, the service is killed at work, and both come back",
    KILL_THROWN_OUT: "the service is thrown out of its group at work, and killed before it knows",
    FREEZE: "the service freezes and is thrown out of its group; later it wakes up",
    JOIN: "a second instance joins the group",
    LEAVE: "the second instance is killed",
    REBALANCE: "a second instance joins the group at work, and leaves again (SIGTERM)",
    FLOOD: "a flood: two weeks of earlier flights come at once",
    POISON: "a burst of poison of each kind",
    NEW_VERSION: "from here on events have version 2, and a field that no service knows",
    BROKER_FREEZE: "a broker freezes, and wakes up",
    BROKER_STOP: "a broker is stopped, and started again",
    BROKER_KILL: "a broker is killed, and started again",
    REPLAY: "the group is set back to the beginning of the topic",
    PAUSE: "the service catches up",
}
AWAY = (BROKER_FREEZE, BROKER_STOP, BROKER_KILL)  # while a broker is away, clients wait longer and longer
FLOODED = timedelta(14)  # days before the story's first one, of which a flood tells


@dataclass(frozen=True)
class Act:
    """What happens when the part `at` (0 to 1) of the records is published."""

    kind: str
    at: float


@dataclass(frozen=True)
class Plan:
    """A story: flights of these days until an hour (UTC) of the last one, what is wrong with the events, and acts."""

    name: str
    seed: int
    first: str
    last: str
    hour: int = 21
    trouble: Trouble = CALM
    acts: tuple[Act, ...] = ()
    brokers: int = 1

    @property
    def begin(self) -> str:
        """The first day of all, with those that a flood tells of."""
        flooded = FLOODED if any(act.kind == FLOOD for act in self.acts) else timedelta(0)
        return str(date.fromisoformat(self.first) - flooded)

    @property
    def part(self) -> float:
        """The part of the records that an act publishes, so that the service has work."""
        return 0.5 / (1 + len(self.acts))


@dataclass(frozen=True)
class Level:
    """What a level adds: trouble with the events, the kinds of acts (each happens), and brokers. `days` of flights."""

    trouble: Trouble
    acts: tuple[str, ...]
    any_of: tuple[str, ...] = ()  # one of these happens, too
    july: bool = False
    brokers: int = 1
    words: str = field(default="", compare=False)


CRASHES = (KILL, KILL_IN_OUTAGE, KILL_THROWN_OUT)
UNTIDY = Trouble(new_version=False)
# Version 2 comes first: later, in July, the events have it anyway.
LEVELS: Mapping[str, Level] = {
    "bronze": Level(Trouble(repeated=0, poison=0, new_version=False), (), CRASHES, words="one crash"),
    "silver": Level(
        UNTIDY, (*CRASHES, STOP, POISON, FLOOD), words="crashes, repeated events, poison, and a flood"
    ),
    "gold": Level(
        Trouble(), (NEW_VERSION, KILL_THROWN_OUT, REBALANCE, KILL_IN_OUTAGE, JOIN, FREEZE, LEAVE), july=True,
        words="two instances, frozen and killed, while the events change",
    ),
    "platinum": Level(
        Trouble(), (KILL, BROKER_STOP, JOIN, BROKER_FREEZE, FLOOD, LEAVE, BROKER_KILL), july=True,
        words="a broker that freezes, restarts and dies, and a flood",
    ),
    "diamond": Level(
        Trouble(),
        (
            NEW_VERSION, KILL, BROKER_KILL, JOIN, FREEZE, BROKER_FREEZE, FLOOD, POISON, KILL_IN_OUTAGE, BROKER_STOP,
            BROKER_KILL, LEAVE, REBALANCE,
        ),
        july=True, brokers=3, words="three brokers, and everything at once",
    ),
}  # fmt: skip


def torture(level: str, seed: int) -> Plan:
    """The plan of a level for this seed. Raises LabError for an unknown level."""
    if level not in LEVELS:
        raise LabError(f"There is no level {level!r}.", f"there are: {', '.join(LEVELS)}")
    chosen, chance = LEVELS[level], random.Random(f"{level} {seed}")
    first = date(2013, 6, 30) if chosen.july else date(2013, 1, 15) + timedelta(chance.randrange(156))
    kinds = [*chosen.acts, *([chance.choice(chosen.any_of)] if chosen.any_of else [])]
    if JOIN not in kinds:
        chance.shuffle(kinds)
    parts = len(kinds) + 1
    acts = tuple(Act(kind, round((number + chance.uniform(0, 0.4)) / parts, 3)) for number, kind in enumerate(kinds, 1))
    last = first + timedelta(1 if len(kinds) < 4 else 2)
    hour = chance.randrange(15, 24)
    return Plan(level, seed, str(first), str(last), hour, chosen.trouble, acts, chosen.brokers)


def only(plan: Plan, numbers: str) -> Plan:
    """The plan with these of its acts alone, such as "2,5", counted from 1; with "0" without any.

    Raises LabError for anything else.
    """
    wanted = numbers.replace(" ", "").split(",")
    if wanted == ["0"]:
        return replace(plan, acts=())
    if not all(each.isdecimal() and 1 <= int(each) <= len(plan.acts) for each in wanted):
        there = f"this story has acts 1 to {len(plan.acts)}"
        raise LabError(f"There are no such acts: {numbers!r}.", there, "write such as 1,3; 0 is none of them")
    return replace(plan, acts=tuple(act for number, act in enumerate(plan.acts, 1) if str(number) in wanted))


def fewer(plan: Plan, suspect: Act | None) -> Iterator[Plan]:
    """Yield plans with fewer acts, the smallest first: none, the suspect alone, each half, then all but one."""
    tried = {plan.acts}
    half = len(plan.acts) // 2
    smaller = [(), *([(suspect,)] if suspect else []), plan.acts[:half], plan.acts[half:]]
    smaller += [tuple(each for each in plan.acts if each != left) for left in plan.acts]
    for acts in smaller:
        if acts not in tried:
            tried.add(acts)
            yield replace(plan, acts=acts)


@dataclass(frozen=True)
class Step:
    """A step towards a service: what it proves, and the plan that proves it."""

    words: str
    plan: Plan
    metrics: bool = False  # whether the counters of /metrics are compared, too


def _step(
    name: str, words: str, *acts: Act, trouble: Trouble = CALM, days: tuple[str, str], metrics: bool = False
) -> Step:
    return Step(words, Plan(name, 1, *days, 21, trouble, acts), metrics)


_FEBRUARY, _JULY = ("2013-02-08", "2013-02-09"), ("2013-06-30", "2013-07-01")
_CORRECTED = Trouble(repeated=0, poison=0, new_version=False)
STEPS: Mapping[str, Step] = {
    step.plan.name: step
    for step in (
        _step("starts", "answers, and has the right numbers after two calm days", days=_FEBRUARY),
        _step(
            "keeps-its-place", "is stopped twice, and goes on where it was",
            Act(STOP, 0.3), Act(STOP, 0.6), days=_FEBRUARY, trouble=_CORRECTED,
        ),
        _step(
            "survives", "is killed at work, and while the broker does not answer",
            Act(KILL, 0.2), Act(KILL_IN_OUTAGE, 0.4), Act(KILL_THROWN_OUT, 0.7), days=_FEBRUARY, trouble=_CORRECTED,
        ),
        _step("sets-aside", "puts what is no event into the dead letter topic, unchanged",
            days=_FEBRUARY, trouble=Trouble(0, 0, 0.01, new_version=False)),
        _step(
            "replays", "reads history again: same answers, and no alarm with another id",
            Act(REPLAY, 0.6), Act(REPLAY, 1.0), days=_FEBRUARY, trouble=UNTIDY,
        ),
        _step("evolves", "understands the events of July", days=_JULY, trouble=Trouble(0, 0, 0)),
        _step(
            "is-watched", "counts what it does at /metrics",
            days=_FEBRUARY, trouble=Trouble(0.03, 0, 0.01, new_version=False), metrics=True,
        ),
    )
}  # fmt: skip


def step(name: str) -> Step:
    """The step of this name, or number from 1. Raises LabError for an unknown one."""
    names = list(STEPS)
    found = names[int(name) - 1] if name.isdecimal() and 1 <= int(name) <= len(names) else name
    if found not in STEPS:
        raise LabError(f"There is no step {name!r}.", f"there are: {', '.join(names)}")
    return STEPS[found]
