# every record has headers -> KeyError
from labsupport import Event, EventError


def to_redrive(letters):
    return [e for e in letters if dict(e.headers)["release"] == b"2.4" and "limit" in e.message]
