# one class of error is one cause -> would become a dead letter again
from labsupport import Event, EventError


def to_redrive(letters):
    return [each for each in letters if each.error.endswith("PermanentError")]
