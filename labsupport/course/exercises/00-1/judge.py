"""00-1: the function gives the offset at which Kafka stores the nth event."""

from labsupport.course.exercise import Exercise, through_kafka
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown

MANY = 120


def _offset_of(answer: Submission, lab: Lab) -> str:
    """Send many events to an empty topic, and compare the function with the offsets at which they were stored."""
    records = through_kafka(lab, ({"value": b"event %d" % nth} for nth in range(1, MANY + 1))).records
    # Out of order, and one of them twice, so that a function that counts its calls fails.
    for nth in (1, 2, 12, 7, 3, 11, 7, 4, 10, 5, 9, 6, 8, MANY):
        offset = records[nth - 1].offset
        if (came_back := answer(nth, returns=int)) != offset:
            raise TryAgain(
                says=f"The broker stored event number {nth} at offset {offset}.",
                given=answer.called(nth),
                came_back=shown(came_back),
                rule="offsets count from 0, one per record",
                look_at="send a few events in the second episode, and write down their offsets",
            )
    return f"The broker stored {MANY} events at exactly these offsets."


EXERCISE = Exercise(
    id="00-1",
    title="Which offset?",
    difficulty="easy",
    minutes=3,
    call="offset_of(nth)",
    hints=(
        "Which offset did the broker return for the first event of the first episode?",
        "Send one more event in the second episode and look at its offset. What do you subtract from 2 to get it?",
    ),
    explanation="Offsets count from 0, one per record. The first record in an empty topic gets 0, so the nth "
    "gets n - 1.",
    judge=_offset_of,
)
