"""12-2: a snapshot and the rest of a topic give full counts, or None if records are missing."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.course.exercise import Exercise, through_kafka
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.experiments.watching import log

KEYS = ("AAB", "CAC")  # by partition, its records' keys; A is in both: the topic has grown (lesson 02)

ENDS = ((3, 3), (2, 3), (3, 2))  # by partition, the number of records, for one case after the other


def _restore(answer: Submission, lab: Lab) -> str:
    """Snapshots of a real topic, with what is left of it while its beginning moves; simple ones first."""
    tried = 0
    for case in sorted(_cases(lab), key=lambda case: case.simplicity):
        came_back = answer(case.snapshot, case.records, case.begins, returns=(dict, NoneType), asks="a dict, or None")
        _compare(case, came_back)
        tried += 1
    return f"Right for all {tried} snapshots of a real topic, and you noticed every hole."


@dataclass(frozen=True)
class Case:
    """A snapshot, and what the topic still holds. `wanted` is the right result: None if there is a hole."""

    snapshot: dict[str, Any]
    records: tuple[ConsumerRecord, ...]
    begins: dict[int, int]
    wanted: dict[str, int] | None

    @property
    def simplicity(self) -> tuple:
        """Cases without a hole first, then with little deleted, then with little in the snapshot."""
        deleted, known = sum(self.begins.values()), self.snapshot["next"]
        return (self.wanted is None, deleted, sum(known.values()), len(known) == 1, sorted(known.items()))


def _cases(lab: Lab) -> Iterator[Case]:
    sent = [{"key": key.encode(), "partition": number} for number, keys in enumerate(KEYS) for key in keys]
    held = through_kafka(lab, sent, partitions=len(KEYS))
    whole, number = held.records, 0
    for deleted in ({}, {0: 1}, {1: 2}, {0: 3}):
        if deleted:
            lab.admin().delete_records({TopicPartition(held.topic, number): at for number, at in deleted.items()})
            held = log.read(lab, held.topic)
        for places in itertools.product(*(range(len(keys) + 1) for keys in KEYS)):
            number += 1
            ends = [max(pair) for pair in zip(ENDS[number % len(ENDS)], places, strict=True)]
            yield _case(held, [record for record in whole if record.offset < ends[record.partition]], places, number)


def _case(held: log.Log, whole: Sequence[ConsumerRecord], places: Sequence[int], number: int) -> Case:
    """The snapshot at offsets `places`, with keys that no other case has, and what `held` still has of `whole`."""

    def named(records: Iterable[ConsumerRecord]) -> list[ConsumerRecord]:
        return [record._replace(key=b"%s%d" % (record.key, number)) for record in records]

    known = {number: place for number, place in enumerate(places) if place}
    state = _counted(named(record for record in whole if record.offset < places[record.partition]))
    hole = any(begin > places[number] for number, begin in held.begins.items())
    # as a consumer might deliver them: partition 1 first
    left = sorted(named(record for record in held.records if record in whole), key=lambda record: -record.partition)
    return Case(
        {"state": state, "next": known}, tuple(left), dict(held.begins), None if hole else _counted(named(whole))
    )


def _counted(records: Iterable[ConsumerRecord]) -> dict[str, int]:
    return dict(Counter(record.key.decode() for record in records))


def _compare(case: Case, came_back: Mapping[str, int] | None) -> None:
    if came_back == case.wanted:
        return
    known = case.snapshot["next"]
    left = [f"partition {record.partition}, offset {record.offset}: {log.text(record.key)}" for record in case.records]
    if case.wanted is None:
        number = next(number for number, begin in case.begins.items() if begin > known.get(number, 0))
        says = "There is a hole: the right result is None."
        rule = (
            f"partition {number} begins at {case.begins[number]}, and the snapshot continues at "
            f"{known.get(number, 0)}: the records between are in neither"
        )
        look_at = "where does each partition begin, and where does the snapshot continue?"
    elif came_back is None:
        says = "Nothing is missing here, so the result is not None."
        rule = "a log may begin anywhere, as long as the snapshot has everything before"
        look_at = "compare `begins` with `next`, partition by partition"
    else:
        says, rule, look_at = _difference(case.wanted, came_back)
    raise TryAgain(
        says=says,
        given=f"snapshot = {case.snapshot}\nbegins = {case.begins}",
        story="\n".join(left) or "(the topic holds no record)",
        came_back=shown(came_back),
        rule=rule,
        look_at=look_at,
    )


def _difference(wanted: Mapping[str, int], came_back: Mapping[str, int]) -> tuple[str, str, str]:
    if strange := [key for key in came_back if key not in wanted]:
        says = f"There is no key {shown(strange[0])}."
        look_at = "record.key.decode()"
        if isinstance(strange[0], str):
            look_at = "does anything stay from an earlier call? The state must begin with this snapshot's state only"
        return says, "a key is text, from this snapshot or from these records", look_at
    key = next(key for key in sorted(wanted) if came_back.get(key, 0) != wanted[key])
    count = came_back.get(key, 0)
    says = f"{key} had {wanted[key]} event{'s' * (wanted[key] != 1)}; your function counts {shown(count)}."
    if isinstance(count, int) and count > wanted[key]:
        rule = "an event that is in the snapshot is counted twice"
        return says, rule, "`next` is the first offset of its partition that is not in the snapshot"
    rule = "an event is missing: each event is in the snapshot or after it"
    return says, rule, "does your state begin with the snapshot's, and do you count the record at `next`?"


EXERCISE = Exercise(
    id="12-2",
    title="From a snapshot",
    difficulty="medium",
    minutes=6,
    call="restore(snapshot, records, begins)",
    hints=(
        "Which records are in the snapshot already, and how do you know?",
        "Count a record if its offset is not below `next` of *its* partition; a partition that `next` does not "
        "have continues at 0. Begin with a copy of the state.",
        "There is a hole if a partition begins after the offset at which the snapshot continues.",
    ),
    explanation="A snapshot is a state plus the next offset of each partition. It contains everything before "
    "those offsets, whether the topic still has it or not. If a log begins later, some records are in neither; "
    "a wrong count would look like a right one, so the result is None.",
    judge=_restore,
)
