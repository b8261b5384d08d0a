"""09-3, repair the publisher: the judge."""

from typing import TYPE_CHECKING

from labsupport.course.exercise import Exercise
from labsupport.course.exercises.setting_aside import set_aside

if TYPE_CHECKING:
    pass


EXERCISE = Exercise(
    id="09-3",
    title="Repair the publisher",
    difficulty="medium",
    minutes=9,
    call="bury(consumer, producer, record, error)",
    file="publisher.py",
    hints=(
        "In `careless`, what is committed by which line, and what is known at that moment about the dead letter?",
        "`dead_letter.wrap(record, error, attempts, group)` makes the letter; its `encode()` gives key, value and "
        'headers. The group is `consumer.config["group_id"]`.',
        "Send all three, `get(timeout=10)` what `send` returns, then `consumer.commit(reading.after(record))`. No "
        "`try`: the error shall come out.",
    ),
    explanation="The letter has the record as it was, and maps what this client cannot send. It is acknowledged "
    "before anything is committed, and the commit names this record alone. If the letter is refused, the error "
    "comes out, and the record will come again.",
    points_at=("ep-3", "ep-4"),
    judge=set_aside,
    seconds=8.0,
)
