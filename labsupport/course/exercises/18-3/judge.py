"""18-3: the advice is right for every state of a small partition, and for states that real brokers were in."""

import csv
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from labsupport.course.exercise import Exercise
from labsupport.course.exercises.replication import subsets
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, as_set, shown

FINE, REFUSES, NO_QUORUM, OFFLINE = WORDS = ("fine", "refuses", "no quorum", "offline")
SEEN = Path(__file__).with_name("seen.csv")
# What a producer with acks="all" was told in each case; without a leader it has nobody to ask.
TOLD = {"acknowledged": FINE, "refused": REFUSES, "unknown": NO_QUORUM, "": OFFLINE}


@dataclass(frozen=True)
class State:
    """What the metadata of a partition say, longer than a session after the last death, and which brokers answer."""

    leader: int | None
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    elr: tuple[int, ...]
    alive: tuple[int, ...]
    min_isr: int

    @property
    def word(self) -> str:
        """One of WORDS."""
        if self.leader is None:
            return OFFLINE
        if not set(self.isr) <= set(self.alive):
            return NO_QUORUM
        return FINE if len(self.isr) >= self.min_isr else REFUSES

    @property
    def start(self) -> set[int]:
        """The brokers to start."""
        dead = set(self.replicas) - set(self.alive)
        return {OFFLINE: set(self.elr), REFUSES: dead}.get(self.word, set())

    def argument(self) -> dict[str, object]:
        """As the exercise hands it out."""
        sets = {name: set(getattr(self, name)) for name in ("replicas", "isr", "elr", "alive")}
        return {"leader": self.leader, **sets, "min_isr": self.min_isr}


def seen() -> Iterator[tuple[State, str]]:
    """States that real brokers were in, and what a producer was told; `tests/kafka/test_outage_states.py` sees them."""
    with SEEN.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            sets = {name: tuple(map(int, row[name].split())) for name in ("replicas", "isr", "elr", "alive")}
            leader = int(row["leader"]) if row["leader"] else None
            yield State(leader, min_isr=int(row["min_isr"]), **sets), row["told"]


def states(replicas: Collection[int], others: tuple[int, ...] = ()) -> Iterator[State]:
    """Every state of a partition with these replicas; `others` are alive as well, and have no replica of it."""
    everybody = tuple(replicas)
    for min_isr in range(1, len(everybody) + 1):
        for isr in subsets(everybody):
            out = [each for each in everybody if each not in isr]
            eligible = [each for each in subsets(out) if not each or len(isr) < min_isr]
            for leader in isr:
                for elr in eligible:
                    for alive in subsets(everybody):
                        yield State(leader, everybody, isr, elr, alive + others, min_isr)
        for elr in subsets(everybody):
            for alive in subsets([each for each in everybody if each not in elr]):
                if elr:  # one that is alive would lead
                    yield State(None, everybody, (), elr, alive + others, min_isr)


def _judge(answer: Submission, _: Lab) -> str:
    recorded = list(seen())
    for state, told in recorded:
        _require(
            answer, state, f"\nseen on real brokers; a producer was told: {told or 'nothing, it had nobody to ask'}"
        )
    every = [*states((1, 2)), *states((1, 2, 3)), *states((9, 0, 4), others=(7, 5))]
    for state in every:
        _require(answer, state)
    return f"Right for {len(recorded)} states that real brokers were in, and for {len(every)} others."


def _require(answer: Submission, state: State, seen_where: str = "") -> None:
    came = answer(state.argument(), returns=Collection, asks="a pair: a word, and a set of brokers")
    given = answer.called(state.argument()) + seen_where
    if len(came) != 2 or not isinstance(came[0], str) or str.__str__(came[0]) not in WORDS or not _is_set(came[1]):
        raise TryAgain(
            says="That is not one of the four words with a set of brokers.", given=given, came_back=shown(came),
            look_at='for example `return "offline", {2}`; an empty set is `set()`',
        )  # fmt: skip
    word, start = str.__str__(came[0]), as_set(came[1])  # a subclass could be equal to any word
    if word != state.word:
        says, rule, look_at = _why(state, word)
        raise TryAgain(says=says, given=given, came_back=shown(came), rule=rule, look_at=look_at)
    if start != state.start:
        raise TryAgain(
            says=f"To start: {_numbers(state.start)}.", given=given, came_back=shown(came), rule=START[word],
            look_at="who is dead already, and who among them is known to have every committed record?"
            if word == OFFLINE else "of all replicas, who does not answer?"
            if word == REFUSES else "with these two words nobody has to be named",
        )  # fmt: skip


START = {
    FINE: "nothing has to be done at once",
    NO_QUORUM: "the controllers come first; no broker of this partition can be named",
    REFUSES: "each dead replica that comes back can join the ISR, whether it is in the ELR or not",
    OFFLINE: "the brokers of the ELR have every committed record; another one may only lead by an unclean election",
}


def _is_set(brokers: object) -> bool:
    return isinstance(brokers, Collection) and not isinstance(brokers, str | bytes | dict)


def _why(state: State, word: str) -> tuple[str, str, str]:
    """What is wrong, the rule, and what to look at."""
    dead = set(state.isr) - set(state.alive)
    if state.word == OFFLINE:
        return "Nobody leads: it is offline.", "without a leader nobody can write or read", "is the leader None?"
    if word == OFFLINE:
        return f"Broker {state.leader} leads.", "offline means: without a leader", "is the leader None?"
    if state.word == NO_QUORUM:
        return (
            f"The ISR still names {_numbers(dead)}, and that cannot be.",
            "a controller takes a dead broker out of the ISR when its session ends. Here nobody has done so",
            "are all brokers of the ISR alive?",
        )
    if word == NO_QUORUM:
        return (
            "All brokers of the ISR are alive: somebody has taken the dead out of it.",
            "no quorum means that nobody can change the ISR any more",
            "who must be alive: all replicas, or those in the ISR?",
        )
    return (
        f"The ISR has {len(state.isr)}, and min_isr is {state.min_isr}.",
        'an ISR that is smaller than min_isr refuses acks="all"; one that is as large, or larger, does not',
        "what do you compare with min_isr: the ISR, or those who are alive?",
    )


def _numbers(brokers: set[int]) -> str:
    names = " and ".join(map(str, sorted(brokers)))
    return f"broker{'s' * (len(brokers) > 1)} {names}" if brokers else "nobody"


EXERCISE = Exercise(
    id="18-3",
    title="What is safe to do",
    difficulty="easy",
    minutes=5,
    call="advise(state)",
    hints=(
        "Which of the four can you see from `leader` alone? And who would have taken a dead broker out of the ISR?",
        "A dead broker in the ISR, long after its session, means that no controller can change anything. Only then "
        "compare the ISR with `min_isr`.",
        'In this order: no leader, "offline" and the ELR; `not isr <= alive`, "no quorum"; `len(isr) < min_isr`, '
        '"refuses" and `replicas - alive`; else "fine".',
    ),
    explanation="Metadata say what the controllers know. If they name dead brokers as in sync, there is no quorum, and "
    "no broker that you start will change that before a majority of controllers runs. Without a leader, look for the "
    "ELR: these brokers have all that was committed, so starting them loses nothing.",
    judge=_judge,
    seconds=4.0,
    points_at=("ep-2", "ep-4"),
)
