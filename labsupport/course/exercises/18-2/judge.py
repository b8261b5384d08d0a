"""18-2: the settings keep the promise, whoever dies, with the fewest copies."""

from dataclasses import dataclass
from itertools import product
from typing import Any

from labsupport.console import counted
from labsupport.course.exercise import Exercise
from labsupport.course.exercises.replication import KEPT, Death, subsets
from labsupport.course.lab import Lab
from labsupport.course.plain_values import is_a
from labsupport.course.submission import Submission, TryAgain, as_set, shown

NAMES = ("copies", "min_isr", "acks", "unclean")
SIZES, NUMBERS = (*range(1, 6), 7), range(4)  # of clusters, and of brokers that may be dead
LARGE = ((12, 5, 4), (12, 4, 6), (10, 5, 5))  # what nobody has in a table


@dataclass(frozen=True)
class Choice:
    """What the answer chose."""

    copies: int
    min_isr: int
    acks: int | str
    unclean: bool

    def broken(self, keep: int, write: int) -> tuple[str, str, str] | None:
        """What is wrong with it, the rule, and what to look at; None if it keeps the promise."""
        replicas = tuple(range(1, self.copies + 1))
        for dead in subsets(replicas):
            isr = tuple(each for each in replicas if each not in dead)
            if len(dead) <= write and len(isr) < max(1, self.min_isr):
                return (
                    f"With {counted(len(dead), 'broker')} of {self.copies} dead, "
                    + ("nobody can write any more." if self.acks == "all" or not isr else "no new record is seen."),
                    f"the ISR is then {len(isr)}, and min_isr is {self.min_isr}"
                    + ("; with acks=1 the record would be invisible" if self.acks == 1 and isr else ""),
                    "how many are in sync while `write` brokers are dead, and how many does min_isr ask for?",
                )
        # The ISR may be as small as min_isr when a record is acknowledged; its leader is broker 1.
        smallest = self.min_isr if self.acks == "all" else 1
        for isr in (replicas[:size] for size in range(max(1, smallest), self.copies + 1)):
            for dead in subsets(isr):
                death = Death(isr[0], isr, self.acks, self.min_isr, dead)
                if len(dead) <= keep and death.fate != KEPT:
                    return (
                        "An acknowledged record can be lost.",
                        f"the ISR is {_numbers(isr)}, the leader {isr[0]} acknowledges a record with acks="
                        f"{shown(self.acks)}, and {_numbers(dead)} {'dies' if len(dead) == 1 else 'die'}",
                        "how many brokers are sure to have a record when it is acknowledged?",
                    )
        if self.unclean and self.copies > 1:
            return (
                "If more die than promised, acknowledged records are lost for a new leader.",
                "an unclean election makes a broker the leader that was not in sync",
                "which value lets the partition wait for the brokers that have every record?",
            )
        return None


def _judge(answer: Submission, _: Lab) -> str:
    promises = sorted(product(SIZES, NUMBERS, NUMBERS), key=lambda each: (each[1] + each[2], each))
    promises += LARGE
    for brokers, keep, write in promises:
        _require(answer, brokers, keep, write)
    return f"All {len(promises)} promises are kept whoever dies, with the fewest copies, or are refused."


def _require(answer: Submission, brokers: int, keep: int, write: int) -> None:
    came = answer(brokers, keep, write, returns=(dict, type(None)), asks="a dict with four settings, or None")
    facts: dict[str, Any] = {"given": answer.called(brokers, keep, write), "came_back": shown(came)}
    fewest = keep + 1 + write
    if came is None:
        if fewest <= brokers:
            raise TryAgain(
                says="This promise can be kept.", **facts,
                rule=f"{counted(fewest, 'copy is', 'copies are')} enough",
                look_at="one broker holds at most one copy: how many copies are needed?",
            )  # fmt: skip
        return
    choice = _choice(came, facts)
    if choice.copies > brokers:
        raise TryAgain(
            says=f"The cluster has no {counted(choice.copies, 'broker')}.", **facts,
            rule="one broker holds at most one copy",
            look_at="what do you return if the cluster is too small for the promise?",
        )  # fmt: skip
    if broken := choice.broken(keep, write):
        says, rule, look_at = broken
        raise TryAgain(says=says, **facts, rule=rule, look_at=look_at)
    if choice.copies > fewest:
        raise TryAgain(
            says="The promise is kept, but fewer copies would do.", **facts,
            rule=f"{choice.copies} copies cost more disks and network than {fewest}",
            look_at="min_isr copies must be left while `write` brokers are dead",
        )  # fmt: skip


def _choice(came: dict[Any, Any], facts: dict[str, Any]) -> Choice:
    """The settings. Raises TryAgain if there is something else in the dict."""
    if as_set(came) != set(NAMES):
        raise TryAgain(
            says="These are not the four settings.", **facts, look_at=f"the keys are {', '.join(map(repr, NAMES))}"
        )
    copies, min_isr, acks, unclean = (came[name] for name in NAMES)
    if not all(is_a(each, int) and 1 <= each <= 100 for each in (copies, min_isr)):
        raise TryAgain(says="copies and min_isr are whole numbers from 1.", **facts, look_at="which is none?")
    if not (is_a(acks, int) or isinstance(acks, str)) or acks not in (1, "all"):
        raise TryAgain(
            says='acks is 1 or "all".', **facts, look_at="how many have to answer is the matter of min_isr, not of acks"
        )
    if not isinstance(unclean, bool):
        raise TryAgain(says="unclean is True or False.", **facts, look_at="is it a text or a number?")
    if min_isr > copies:
        raise TryAgain(
            says="min_isr is larger than copies.", **facts, rule="no more brokers can be in sync than have a copy",
            look_at="how many are in sync when nobody is dead?",
        )  # fmt: skip
    return Choice(int(copies), int(min_isr), acks, unclean)


def _numbers(brokers: tuple[int, ...]) -> str:
    return " and ".join(map(str, brokers))


EXERCISE = Exercise(
    id="18-2",
    title="Settings for a promise",
    difficulty="medium",
    minutes=6,
    call="settings(brokers, keep, write)",
    hints=(
        "When a record is acknowledged, how many brokers must have it, so that `keep` of them can die?",
        "At least `keep + 1` must have it: that is `min_isr`. And so many must be left while `write` brokers are dead.",
        'The topic needs `min_isr + write` copies, and acks="all"; None if there are not so many brokers. An unclean '
        "election would lose records when more die than promised.",
    ),
    explanation="Three copies with min.insync.replicas=2 are the usual answer to `keep=1, write=1`. With "
    "min.insync.replicas=3 two may die and nothing is lost, but a single dead broker stops all writers. Copies pay for "
    "both: the one half for durability, the other for going on.",
    judge=_judge,
    points_at=("ep-2", "ep-3"),
)
