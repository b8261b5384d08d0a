"""04-1: the lag is right for every small log, and it is what real groups then read."""

from collections.abc import Iterator
from itertools import product

from kafka import TopicPartition

from labsupport.course.exercise import Exercise, through_kafka
from labsupport.course.exercises.groups import fresh_group, reader
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.delivery import reading
from labsupport.experiments.watching.lag import PartitionLag


def _lag(answer: Submission, lab: Lab) -> str:
    """Every small log with every committed offset, smallest first; then what real groups still read."""
    logs = [
        PartitionLag(0, begin, end, committed)
        for begin, end, committed in product(range(4), range(6), (None, *range(8)))
        if begin <= end
    ]
    for place in sorted(logs, key=_simplicity):
        _compare(answer, place)
    for place, got in _real_groups(lab):
        if place.lag != got:
            raise AssertionError(f"{place} got {got}")
        _compare(answer, place)
    return f"Right for all {len(logs)} small logs, and four real groups then read as many records."


def _simplicity(place: PartitionLag) -> tuple[int, ...]:
    """Valid committed offsets first; then whole logs before shortened and empty ones, and short ones first."""
    committed = -1 if place.committed is None else place.committed
    shortened, empty = place.begin > 0, place.begin == place.end
    return (place.out_of_range, committed > place.end, shortened, empty, committed >= 0, place.end, committed)


def _compare(answer: Submission, place: PartitionLag) -> None:
    came_back = answer(place.begin, place.end, place.committed, returns=int)
    if came_back == place.lag:
        return
    held = (
        f"the log holds the offsets {place.begin} to {place.end - 1}" if place.end > place.begin else "the log is empty"
    )
    if place.committed is None:
        rule, look_at = "nothing is committed, so no record counts as done", "then every record in the log is left"
    elif place.committed < place.begin:
        rule = f"the records before {place.begin} are gone: nobody can read them any more"
        look_at = "what is the earliest offset at which the group can continue?"
    elif place.committed > place.end:
        rule = f"the log has no offset {place.committed}: the offset was committed for a different log"
        look_at = "treat it as if nothing were committed: which records are left then?"
    else:
        rule = f"`committed` is the next offset to read, and `end`, {place.end}, the next to be written"
        look_at = "how many offsets are there from `committed` up to, but not including, `end`?"
    raise TryAgain(
        says=f"The lag is {place.lag} here.",
        given=answer.called(place.begin, place.end, place.committed),
        came_back=shown(came_back),
        story=held,
        rule=rule,
        look_at=look_at,
    )


def _real_groups(lab: Lab) -> Iterator[tuple[PartitionLag, int]]:
    """Groups with known committed offsets, and the number of records that each of them reads."""
    topic = through_kafka(lab, ({"value": b"%d" % number} for number in range(8))).topic
    lab.admin().delete_records({TopicPartition(topic, 0): 3})
    for number, committed in enumerate((None, 5, 1, 40)):
        group = fresh_group(lab, number, {0: committed} if committed is not None else {}, topic)
        consumer = reader(lab, topic, group)
        yield PartitionLag(0, 3, 8, committed), sum(1 for _ in reading.to_the_end(consumer))


EXERCISE = Exercise(
    id="04-1",
    title="How much is left?",
    difficulty="easy",
    minutes=5,
    call="lag(begin, end, committed)",
    hints=(
        "With begin 0, end 6 and committed 4: which offsets are left to read?",
        "If nothing is committed, or an offset outside the log, everything in the log is left.",
    ),
    explanation="`end` is the offset that the next record will get, and `committed` the next offset to read: "
    "the lag is their difference. Without a valid committed offset it is everything that the log still holds.",
    judge=_lag,
)
