# the offset is a good id -> One event is remembered by two
from labsupport import Event, EventError


def memory_key(record):
    return str(record.offset)
