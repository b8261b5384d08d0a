# all other releases are as bad -> release=b'2.2'
from labsupport import Event, EventError


def to_redrive(letters):
    return [
        e
        for e in letters
        if dict(e.headers).get("release") != b"2.3" and "limit" in e.message and int(e.message.split()[1]) <= 1_000_000
    ]
