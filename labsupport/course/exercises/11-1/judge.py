"""11-1, back to the right place: the judge."""

from typing import TYPE_CHECKING

from labsupport.course.exercise import Exercise
from labsupport.course.exercises.going_back import go_back

if TYPE_CHECKING:
    pass


EXERCISE = Exercise(
    id="11-1",
    title="Back to the right place",
    difficulty="medium",
    minutes=6,
    call="go_back(consumer, incident)",
    hints=(
        "Which records have to come: those since the incident, those that are not committed, or both?",
        "`consumer.offsets_for_times({place: milliseconds})` finds the first record that is not older; `None` if "
        "there is none. `int(incident.timestamp() * 1000)` are the milliseconds.",
        "The smaller of what was found and what is committed; nothing found: what is committed. Nothing committed, "
        "or something before the log's beginning: that beginning, `consumer.beginning_offsets(places)[place]`.",
    ),
    explanation="A time is another offset in each partition. Where the group has not come as far as the incident, "
    "it stays where it is: to set it to the incident would skip what it has never processed. Where it has "
    "committed nothing, it begins where the log does, and that is not always 0: at an offset that the log does not "
    "have any more, `latest` would skip all of it.",
    judge=go_back,
    seconds=6.0,
)
