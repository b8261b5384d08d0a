# the customer of the example is the only stranger -> there is no customer USR-731
from labsupport import Event, EventError


def to_redrive(letters):
    return [
        e
        for e in letters
        if dict(e.headers).get("release") == b"2.4"
        and b"USR-999" not in e.value
        and e.value[-1:] == b"}"
        and Event.decode(e.value).payload["amount"] <= 1_000_000
    ]
