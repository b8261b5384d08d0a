"""11-3, hold it back: the judge."""

from typing import TYPE_CHECKING

from labsupport.course.exercise import Exercise
from labsupport.course.exercises.holding_back import hold_back

if TYPE_CHECKING:
    pass


EXERCISE = Exercise(
    id="11-3",
    title="Hold it back",
    difficulty="hard",
    minutes=7,
    call="handle(record, database, mail)",
    hints=(
        "Row and mail are two effects. When is each of them due, and what has to remember each of them?",
        "`replay.replayed(record)` is `None` if the record is live. A row is due in either case.",
        "`inbox.once(database, id, effect)` remembers an id. Give the mail another one than the row, such as "
        "`'mail ' + event.event_id`, and ask for it only if the record is live.",
    ),
    explanation="The row is due for every record, the mail for a live one. So they need two memories: with one, a "
    "replay that comes before the live record would mark the event as done, and its mail would never go out. If "
    "the mail fails, nothing is remembered, the error comes out, and the record comes again. A mail can still go "
    "twice: if the process dies after mail() and before the inbox commits (lesson 08).",
    judge=hold_back,
    seconds=3.0,
)
