"""02-1, whose order is broken?: the judge."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import permutations

from labsupport.course.exercise import Exercise, through_kafka
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, as_set, shown

Numbered = tuple[str, int]  # the key of a record, and which of that key's records it is: 1, 2, 3 …


def _disordered(records: Sequence[Numbered]) -> set[str]:
    numbers: dict[str, list[int]] = defaultdict(list)
    for key, number in records:
        numbers[key].append(number)
    return {key for key, listed in numbers.items() if listed != sorted(listed)}


def _out_of_order(answer: Submission, lab: Lab) -> str:
    """Every order of reading of up to four records of two keys, the fewest first; then a real topic without keys."""
    whole = [
        [("A", 1), ("A", 2), ("A", 3), ("B", 1)],
        [("A", 1), ("A", 2), ("B", 1), ("B", 2)],
        [("B", 1), ("B", 2), ("A", 1)],
        [("A", 2), ("A", 4), ("B", 3)],  # some were missed
        [("A", 1), ("A", 1), ("A", 2), ("B", 1)],  # one was read twice
    ]
    parts = {tuple(records[:length]) for records in whole for length in range(5)}
    small = {order for part in parts for order in permutations(part)}
    for records in sorted(small, key=lambda each: (len(each), each)):
        _compare_keys(answer, list(records))
    read = _scattered(lab)
    _compare_keys(answer, read)
    return f"Right for all {len(small)} ways to read up to four records, and for {len(read)} from a real topic."


def _compare_keys(answer: Submission, records: list[Numbered]) -> None:
    came_back, right = answer(records, returns=Collection, asks="a set or a list"), _disordered(records)
    if as_set(came_back) != right:
        missed = sorted(right - as_set(came_back))
        raise TryAgain(
            says=f"{'No key is' if not right else 'The keys ' + str(sorted(right)) + ' are'} out of order here.",
            story=" → ".join(f"{key} {number}" for key, number in records[:20]) or "(nothing was read)",
            came_back=shown(came_back),
            rule=_misjudged(missed, records),
            look_at="compare each record with the earlier records of the same key, and with no others",
        )


def _misjudged(missed: Sequence[str], records: Sequence[Numbered]) -> str:
    if missed:
        return f"{missed[0]} was missed: one of its records was read after a later one of the same key"
    if len({key for key, _ in records}) == 1:
        return "a number that is missing or comes twice is not out of order: none came after a later one"
    return "order is a promise within a key (one partition); between keys there is none to break"


def _scattered(lab: Lab) -> list[Numbered]:
    """Records of six keys, spread over three partitions in turn, as a consumer may read them."""
    # Half of the keys always go to one partition, as Kafka does it; the others in turn.
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
        "Remember, for each key, the number that was read last: a dict does it.",
        "If the number is smaller than the one remembered for its key, that key is out of order.",
    ),
    explanation="Only records of the same key are compared: Kafka keeps the order within a partition, and a key's "
    "records are in one. Between keys any order may be met, and none is wrong.",
    judge=_out_of_order,
)
