# the value of a header says which header it is -> schema=b'2.4'
from labsupport import Event, EventError


def to_redrive(letters):
    return [
        e
        for e in letters
        if b"2.4" in dict(e.headers).values()
        and "limit" in e.message
        and Event.decode(e.value).payload["amount"] <= 1_000_000
    ]
