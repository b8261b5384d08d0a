"""06-2: the listener commits what was processed before a partition goes to another member."""

from labsupport.course.exercise import Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission

from .joining import COURSES, Joining


def _listener(answer: Submission, lab: Lab) -> str:
    """A member with the learner's listener; a second one joins, works on and leaves; at once a third one joins."""
    for course in COURSES:
        Joining(answer, lab, course).play()
    return "Two members joined after each other, twice: nothing was processed twice, and nothing was lost."


EXERCISE = Exercise(
    id="06-2",
    title="Commit before the partition goes",
    difficulty="hard",
    minutes=9,
    call="listener(consumer, done)",
    hints=(
        "Which of the two methods is called while nobody else has the partitions yet?",
        '`{place: OffsetAndMetadata(last + 1, "", -1)}` for each place of `done()` that is in `revoked`; '
        "then `consumer.commit_async(…)`. Then: what does `done()` say of a partition that was somebody else's "
        "meanwhile?",
        "Keep `dict(done())` when the partitions are assigned. When they are taken away, commit those places alone "
        "whose last record is another one than it was then.",
    ),
    explanation="`on_partitions_revoked` comes before the consumer joins again, so its commit reaches the broker "
    "before anybody gets the partitions. It runs on the client's own thread: `commit_async` only sends. It commits "
    "what was processed and not the position, and only for the partitions in `revoked`. A partition that came back "
    "may have been processed further by another member; so it commits only what was processed since the "
    "partitions were assigned.",
    judge=_listener,
    apart=True,
)
