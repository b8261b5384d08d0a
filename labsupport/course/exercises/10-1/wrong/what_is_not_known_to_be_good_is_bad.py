# what is not known to be good is bad -> release=b'2.5'
from labsupport import Event, EventError


def to_redrive(letters):
    return [
        e
        for e in letters
        if dict(e.headers).get("release", b"2.2") not in (b"2.2", b"2.3")
        and "limit" in e.message
        and Event.decode(e.value).payload["amount"] <= 1_000_000
    ]
