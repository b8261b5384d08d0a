"""13-2: whatever is in the topic becomes an order, or a dead letter with its reason."""

from labsupport.course.exercise import Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission


def _judge(answer: Submission, lab: Lab) -> str:
    from .mixed_topic import require_all  # here: other lessons do without Avro and the registry's client

    return require_all(answer, lab)


EXERCISE = Exercise(
    id="13-2",
    title="Whatever is in the topic",
    difficulty="hard",
    minutes=10,
    call="decode(value, schema_of, reader)",
    hints=(
        "Which byte tells the two formats apart? And which of the errors that can come out are the record's fault?",
        "`int.from_bytes(value[1:5], 'big')` is the number, `value[5:]` the data for `avro_data.decode(data, writer, "
        "reader)`. For JSON, `avro_data.encode(reader, order)` fills in defaults and refuses what does not fit.",
        "Call `schema_of` in a `try` of its own: an error with `http_status_code` 404 becomes EventError, every other "
        "is raised again. Around decoding, every error becomes EventError.",
    ),
    explanation="The first byte tells the formats apart. Whatever the bytes cause is permanent, and becomes an "
    "EventError with its reason. Whatever the registry's absence causes passes, and must come out as it is, so that "
    "the service pauses.",
    judge=_judge,
    seconds=6.0,
    points_at=("ep-1", "ep-5"),
)
