# one message is one cause -> would become a dead letter again
from labsupport import Event, EventError


def to_redrive(letters):
    return [each for each in letters if "limit" in each.message]
