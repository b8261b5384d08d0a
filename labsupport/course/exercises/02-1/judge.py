"""02-1: the function compares records of the same key only, however up to four records are read."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import permutations

from labsupport.course.exercise import Exercise, through_kafka
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, as_set, shown

Numbered = tuple[str, int]  # a record's key, and its number among the records of that key: 1, 2, 3 …


def _disordered(records: Sequence[Numbered]) -> set[str]:
    numbers: dict[str, list[int]] = defaultdict(list)
    for key, number in records:
        numbers[key].append(number)
    return {key for key, listed in numbers.items() if listed != sorted(listed)}


def _out_of_order(answer: Submission, lab: Lab) -> str:
    """Every order in which up to four records of two keys can be read, fewest first; then a real topic."""
    whole = [
        [("A", 1), ("A", 2), ("A", 3), ("B", 1)],
        [("A", 1), ("A", 2), ("B", 1), ("B", 2)],
        [("B", 1), ("B", 2), ("A", 1)],
        [("A", 2), ("A", 4), ("B", 3)],  # some are missing
        [("A", 1), ("A", 1), ("A", 2), ("B", 1)],  # one was read twice
    ]
    parts = {tuple(records[:length]) for records in whole for length in range(5)}
    small = {order for part in parts for order in permutations(part)}
    for records in sorted(small, key=lambda each: (len(each), each)):
        _compare_keys(answer, list(records))
    read = _scattered(lab)
    _compare_keys(answer, read)
    return f"Right for all {len(small)} orders of up to four records, and for {len(read)} records from a real topic."


def _compare_keys(answer: Submission, records: list[Numbered]) -> None:
    came_back, right = answer(records, returns=Collection, asks="a set or a list"), _disordered(records)
    if as_set(came_back) != right:
        missed = sorted(right - as_set(came_back))
        raise TryAgain(
            says=f"{'No key is' if not right else 'The keys ' + str(sorted(right)) + ' are'} out of order here.",
            story=" → ".join(f"{key} {number}" for key, number in records[:20]) or "(nothing was read)",
            came_back=shown(came_back),
            rule=_misjudged(missed, records),
            look_at="compare each record only with earlier records of the same key",
        )


def _misjudged(missed: Sequence[str], records: Sequence[Numbered]) -> str:
    if missed:
        return f"you missed {missed[0]}: one of its records was read after a later one of the same key"
    if len({key for key, _ in records}) == 1:
        return "a missing or repeated number is not out of order: no record came after a later one"
    return "Kafka keeps order within a key (one partition); between keys there is no order to break"


def _scattered(lab: Lab) -> list[Numbered]:
    """Records of six keys in three partitions, as a consumer may read them."""
    # Each key of the first half has one partition, as in Kafka; the others alternate.
    records = (
        {"key": b"ORD-%d" % key, "value": b"%d" % number, "partition": key if key < 3 else (key + number) % 3}
        for number in range(1, 13)
        for key in range(6)
    )
    return [(record.key.decode(), int(record.value)) for record in through_kafka(lab, records, partitions=3).records]


EXERCISE = Exercise(
    id="02-1",
    title="Whose order is broken?",
    difficulty="medium",
    minutes=8,
    call="out_of_order(records)",
    hints=(
        "`[('A', 1), ('B', 1), ('A', 2)]`: what do you compare `('A', 2)` with?",
        "Keep the last number read of each key in a dict.",
        "If a number is smaller than the last one of its key, that key is out of order.",
    ),
    explanation="Compare records of the same key only: Kafka keeps the order within a partition, and all "
    "records of a key are in one. Between keys any order is possible, and none is wrong.",
    judge=_out_of_order,
)
