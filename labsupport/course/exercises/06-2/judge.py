"""06-2: the listener commits what was processed before a partition goes to another member."""

from labsupport.course.exercise import Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission

from .joining import COURSES, Joining


def _listener(answer: Submission, lab: Lab) -> str:
    """A member with the learner's listener; a second one joins, works and leaves; then a third one joins."""
    for course in COURSES:
        Joining(answer, lab, course).play()
    return "Two members joined one after the other, twice: nothing was processed twice, and nothing was lost."


EXERCISE = Exercise(
    id="06-2",
    title="Commit before the partition goes",
    difficulty="hard",
    minutes=9,
    call="listener(consumer, done)",
    hints=(
        "Which of the two methods is called before another member gets the partitions?",
        '`{partition: OffsetAndMetadata(last + 1, "", -1)}` for each partition of `done()` that is in `revoked`, '
        "then `consumer.commit_async(…)`. And what does `done()` say of a partition that another member had meanwhile?",
        "Keep `dict(done())` when partitions are assigned. When they are revoked, commit only those whose last "
        "processed record has changed since.",
    ),
    explanation="The client calls `on_partitions_revoked` before it rejoins, so its commit reaches the broker "
    "before another member gets the partitions. It runs on the client's own thread, where `commit_async` only "
    "sends. It commits what was processed, not the position, and only for the partitions in `revoked`. Another "
    "member may have read further in a partition that came back, so it commits only what was processed since "
    "the assignment.",
    judge=_listener,
    apart=True,
)
