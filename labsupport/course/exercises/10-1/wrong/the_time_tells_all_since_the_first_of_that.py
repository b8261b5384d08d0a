# the time tells: all since the first of that release -> would become a dead letter again
from labsupport import Event, EventError


def to_redrive(letters):
    bad = [e.offset for e in letters if (b"2.4") in dict(e.headers).values()]
    return [e for e in letters if bad and e.offset >= min(bad)]
