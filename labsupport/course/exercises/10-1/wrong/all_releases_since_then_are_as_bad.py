# all releases since then are as bad -> release=b'2.5'
from labsupport import Event, EventError


def to_redrive(letters):
    return [
        e
        for e in letters
        if dict(e.headers).get("release", b"") >= b"2.4"
        and "limit" in e.message
        and Event.decode(e.value).payload["amount"] <= 1_000_000
    ]
