# more than once is better than not at all -> one dead letter 2 times
from labsupport import Event, EventError


def to_redrive(letters):
    return [
        e
        for e in letters
        if dict(e.headers).get("release") == b"2.4"
        and "limit" in e.message
        and Event.decode(e.value).payload["amount"] <= 1_000_000
    ] * 2
