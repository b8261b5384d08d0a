"""The one exercise of lesson 00, which shows how exercises work."""

from typing import TYPE_CHECKING

from labsupport.course.answer import Answer, TryAgain, shown
from labsupport.course.exercise import Exercise, Wrong, through_kafka

if TYPE_CHECKING:
    from labsupport.course.session import Lesson


MANY = 120


def _offset_of(answer: Answer, lab: "Lesson") -> str:
    """Many events go to an empty topic; where it stored them is what the learner's function is compared with."""
    records = through_kafka(lab, ({"value": b"event %d" % nth} for nth in range(1, MANY + 1))).records
    # Not in order, and one of them twice: a function that counts its calls is no answer.
    for nth in (1, 2, 12, 7, 3, 11, 7, 4, 10, 5, 9, 6, 8, MANY):
        offset = records[nth - 1].offset
        if (came_back := answer(nth, returns=int)) != offset:
            raise TryAgain(
                says=f"The broker stored event number {nth} at offset {offset}.",
                given=answer.called(nth),
                came_back=shown(came_back),
                broken="offsets count from 0, one for each record",
                look_at="send a few events in the second episode, and write down their offsets",
            )
    return f"The broker stored {MANY} events at exactly these offsets."


EXERCISES = (
    Exercise(
        id="00-1",
        title="Which offset?",
        difficulty="easy",
        minutes=3,
        call="offset_of(nth)",
        stub='''def offset_of(nth):
    """The offset of the nth event in an empty topic."""
    return ...''',
        hints=(
            "Which offset did the broker answer for the first event of the first episode?",
            "Send one more event in the second episode and look at its offset. What do you subtract from 2 to get it?",
        ),
        reference='''def offset_of(nth):
    """The offset of the nth event in an empty topic."""
    return nth - 1''',
        explanation="Offsets count from 0, one for each record. The first in an empty topic gets 0, so the nth n - 1.",
        wrong=(
            Wrong(
                "counting from 1",
                "def offset_of(nth):\n    return nth",
                "stored event number 1 at offset 0",
            ),
            Wrong(
                "every event is the first one to be read, so its offset is 0",
                "def offset_of(nth):\n    return 0",
                "stored event number 2 at offset 1",
            ),
            Wrong(
                "each call is about the next event",
                "from itertools import count\n\nnumbers = count()\n\ndef offset_of(nth):\n    return next(numbers)",
                "stored event number 12 at offset 11",
            ),
            Wrong(
                "a topic holds a few events",
                "def offset_of(nth):\n    return list(range(50))[nth - 1]",
                "IndexError",
            ),
            Wrong(
                "an offset is a text",
                "def offset_of(nth):\n    return str(nth - 1)",
                "a str",
            ),
        ),
        other_styles=(
            "offset_of = lambda n: n - 1",
            "import numpy\n\ndef offset_of(nth):\n    return numpy.arange(nth)[-1]",
            "def offset_of(position):\n    print('asked for', position)\n    return len(range(1, position))",
        ),
        judge=_offset_of,
    ),
)
