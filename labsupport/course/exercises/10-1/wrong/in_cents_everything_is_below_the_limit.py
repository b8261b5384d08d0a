# in cents everything is below the limit -> amount 10
from labsupport import Event, EventError


def to_redrive(letters):
    return [e for e in letters if dict(e.headers).get("release") == b"2.4" and "limit" in e.message]
