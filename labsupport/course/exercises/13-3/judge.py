"""13-3: a rename without a pause, run through with real producers and consumers of every release."""

from labsupport.course.exercise import Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission


def _judge(answer: Submission, lab: Lab) -> str:
    from .rollout import require_plan  # here: other lessons do without the registry's client

    return require_plan(answer, lab)


EXERCISE = Exercise(
    id="13-3",
    title="Rename without a pause",
    difficulty="medium",
    minutes=8,
    call="plan(producers, consumers)",
    hints=(
        "At each moment, who can still meet an order without `customer_id`? And who one without `user_id`?",
        "Either the producers write both names for a while, or the consumers read either name. In both cases orders of "
        "the old release are still in the topic when the last producer is upgraded.",
        "Producers to `both`, `wait`, consumers to `new`, producers to `new`. Or: consumers to `either`, producers to "
        "`new`, `wait`, consumers to `new`.",
    ),
    explanation="First widen, then narrow: no reader may lose a name while some order has only that one. The wait "
    "stands where the last order of the old form must be gone. The registry would accept the rename at once, because "
    "the new field has a default: it cannot know that an order without a customer is wrong.",
    judge=_judge,
    seconds=6.0,
    points_at=("ep-3",),
)
