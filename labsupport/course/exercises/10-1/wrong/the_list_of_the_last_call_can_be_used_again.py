# the list of the last call can be used again -> new in each call
from labsupport import Event, EventError


def to_redrive(letters, chosen=[]):
    chosen += [
        e
        for e in letters
        if dict(e.headers).get("release") == b"2.4"
        and "limit" in e.message
        and Event.decode(e.value).payload["amount"] <= 1_000_000
    ]
    return chosen
