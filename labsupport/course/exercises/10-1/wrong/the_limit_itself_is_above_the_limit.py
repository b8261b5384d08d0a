# the limit itself is above the limit -> amount 1000000 is above
from labsupport import Event, EventError


def to_redrive(letters):
    return [
        e
        for e in letters
        if dict(e.headers).get("release") == b"2.4" and "limit" in e.message and int(e.message.split()[1]) < 1_000_000
    ]
