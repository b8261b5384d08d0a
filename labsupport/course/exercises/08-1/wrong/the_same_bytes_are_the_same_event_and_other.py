# the same bytes are the same event, and other bytes another -> One event is remembered by two texts
from labsupport import Event, EventError


def memory_key(record):
    return repr(record.value)
