# a topic's name has no digits -> topic t1
from labsupport import Event, EventError


def memory_key(record):
    try:
        return Event.decode(record.value).event_id
    except EventError:
        return f"{record.topic}{record.partition}-{record.offset}"
