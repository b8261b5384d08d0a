# the same bytes are the same event, and other bytes another -> two texts for one event
from labsupport import Event, EventError


def memory_key(record):
    return repr(record.value)
