# the key is a primary key -> one text for two events
from labsupport import Event, EventError


def memory_key(record):
    return record.key.decode() if record.key else str(record.offset)
