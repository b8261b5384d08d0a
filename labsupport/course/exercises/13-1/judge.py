"""13-1: the level decides who must be able to read what, and of how many versions."""

from labsupport.course.exercise import Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission


def _judge(answer: Submission, _: Lab) -> str:
    from .levels import require_levels  # here: other lessons do without Avro

    return require_levels(answer)


EXERCISE = Exercise(
    id="13-1",
    title="May it be registered?",
    difficulty="easy",
    minutes=5,
    call="compatible(new, old, level)",
    hints=(
        "Under BACKWARD, whose events does the new schema have to read? Who is the reader, and who the writer?",
        "First choose the versions to compare with: all of `old`, or `old[-1:]`, which is empty if `old` is. Then ask "
        "for each of them.",
        "BACKWARD needs `avro_data.can_read(new, each)` for each of them, FORWARD `avro_data.can_read(each, new)`, "
        "FULL both, NONE neither.",
    ),
    explanation="The level's name says two things: the direction, and with how many versions the new one is compared. "
    "`old[-1:]` is a list, also of no version, and `all` of nothing is true.",
    judge=_judge,
    seconds=6.0,
)
