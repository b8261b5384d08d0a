# the offset is a good id -> two texts for one event
from labsupport import Event, EventError


def memory_key(record):
    return str(record.offset)
