# topic, partition and offset are a good id -> One event is remembered
from labsupport import Event, EventError


def memory_key(record):
    return f"{record.topic}-{record.partition}-{record.offset}"
