# the key is a primary key -> Two events are remembered by one text
from labsupport import Event, EventError


def memory_key(record):
    return record.key.decode() if record.key else str(record.offset)
