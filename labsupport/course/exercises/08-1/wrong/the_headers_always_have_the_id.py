# the headers always have the id -> KeyError
from labsupport import Event, EventError


def memory_key(record):
    return dict(record.headers)["event_id"].decode()
