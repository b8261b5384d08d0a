# a few cents do not matter -> amount 10000.5 is above
from labsupport import Event, EventError


def to_redrive(letters):
    return [
        e
        for e in letters
        if dict(e.headers).get("release") == b"2.4"
        and "limit" in e.message
        and Event.decode(e.value).payload["amount"] // 100 <= 10_000
    ]
