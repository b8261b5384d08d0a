# a release is to blame for all that it sent -> would become a dead letter again
from labsupport import Event, EventError


def to_redrive(letters):
    return [each for each in letters if dict(each.headers).get("release") == b"2.4"]
