"""18-1: the fate is right for every ISR of three brokers, acks, min.insync.replicas, leader and set of dead brokers."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from labsupport.course.exercise import Exercise
from labsupport.course.exercises.replication import FATES, KEPT, LOST, OFFLINE, REFUSED, Death, deaths
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown

PLAYED = Path(__file__).with_name("played.csv")
OTHERS = (9, 0, 4, 7)  # the numbers of brokers in another, larger cluster


def played() -> Iterator[tuple[Death, str]]:
    """What was played on real brokers, and the fate that was seen; `tests/kafka/test_fates.py` plays it again."""
    with PLAYED.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            numbers = {name: tuple(map(int, row[name].split())) for name in ("isr", "dead")}
            acks = int(row["acks"]) if row["acks"] != "all" else "all"
            yield Death(int(row["leader"]), acks=acks, min_isr=int(row["min_isr"]), **numbers), row["fate"]


def _judge(answer: Submission, _: Lab) -> str:
    """Every death, small ISRs first; then in a larger cluster with other numbers; then what real brokers did."""
    all_of_them = list(deaths())
    seen = list(played())
    for death in all_of_them:
        _require(answer, death, death.fate)
    for death in deaths(OTHERS):
        _require(answer, replace(death, dead=death.dead[::-1]), death.fate)  # those who die are in no order
    for death, fate in seen:
        _require(answer, death, fate)
    return f"Right for all {len(all_of_them)} deaths; {len(seen)} of them were played on real brokers, which agreed."


def _require(answer: Submission, death: Death, fate: str) -> None:
    arguments = (death.leader, list(death.isr), death.acks, death.min_isr, list(death.dead))
    given, came = answer.called(*arguments), answer(*arguments, returns=str, asks="one of four words")
    if came not in FATES:
        raise TryAgain(
            says="That is none of the four words.", given=given, came_back=shown(came),
            look_at='"refused", "kept", "lost" or "offline", in small letters',
        )  # fmt: skip
    if came != fate:
        says, rule, look_at = _why(death, fate, came)
        raise TryAgain(says=says, given=given, came_back=shown(came), rule=rule, look_at=look_at)


def _why(death: Death, fate: str, came: str) -> tuple[str, str, str]:
    """What is wrong, the rule, and what to look at."""
    size, alive = len(death.isr), set(death.isr) - set(death.dead)
    if fate == REFUSED:
        return (
            f"The leader refused the record: the ISR was {size}, and min_isr is {death.min_isr}.",
            'with acks="all" the ISR must not be smaller than min_isr',
            "what does the leader check before it writes the record?",
        )
    if came == REFUSED and death.acks == 1:
        return ("acks=1 is never refused for a small ISR.", 'min_isr is for acks="all"', "who asks for min_isr?")
    if came == REFUSED:
        return (
            f"The record was not refused: the ISR was {size}, and min_isr is {death.min_isr}.",
            "the ISR counts as it is when the record is sent, and need not be larger than min_isr",
            "with which number do you compare min_isr, and is it the ISR or all replicas, before the deaths or after?",
        )
    if fate == OFFLINE:
        return (
            "Nobody leads: no broker of the ISR is alive.",
            "only a broker that was in sync may lead; the record waits on the disks of the dead",
            "which brokers are left of the ISR?",
        )
    if came == OFFLINE:
        return (
            f"The partition has a leader: of the ISR, {_live(alive)}.",
            "a single broker of the ISR is enough to lead, whatever min_isr says",
            "when is no broker of the ISR left?",
        )
    if fate == LOST:
        return (
            f"The record is lost: only broker {death.leader} had it, and now another one leads.",
            "with acks=1 the leader answers before its followers have the record",
            "who has the record when the brokers die?",
        )
    if death.acks == 1:
        return ("The leader has the record, and lives.", "its log is the log", "does it matter which broker dies?")
    return (
        f"The record is kept: every broker of the ISR had it, and {_live(alive)}.",
        'with acks="all" the answer means that every broker in sync has the record',
        f"which of {KEPT!r} and {LOST!r} is it, if the new leader has the record?",
    )


def _live(brokers: set[int]) -> str:
    return " and ".join(map(str, sorted(brokers))) + (" lives" if len(brokers) == 1 else " live")


EXERCISE = Exercise(
    id="18-1",
    title="Which records survive",
    difficulty="medium",
    minutes=7,
    call="fate(leader, isr, acks, min_isr, dead)",
    hints=(
        "Three questions, in this order: was it written at all? Is anybody left who may lead? Does the one who leads "
        "have the record?",
        'It is refused with acks="all" and an ISR smaller than `min_isr`. Nobody is left if all of the ISR are dead.',
        'With acks="all" every broker of the ISR has the record. With acks=1 only the leader has it: lost if the '
        "leader is dead, and somebody else is not.",
    ),
    explanation='`min.insync.replicas` is checked before a record is written, and only for acks="all". Whoever is '
    'elected was in sync, so it has each record that was acknowledged with acks="all". acks=1 is a bet that the '
    "leader lives until a follower has fetched the record.",
    judge=_judge,
    seconds=4.0,
    points_at=("ep-1", "ep-2"),
)
