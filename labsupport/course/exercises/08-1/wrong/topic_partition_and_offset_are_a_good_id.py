# topic, partition and offset are a good id -> two texts for one event
from labsupport import Event, EventError


def memory_key(record):
    return f"{record.topic}-{record.partition}-{record.offset}"
