# an id is good in its partition -> two texts for one event
from labsupport import Event, EventError


def memory_key(record):
    try:
        return f"{record.partition} {Event.decode(record.value).event_id}"
    except EventError:
        return f"{record.topic}-{record.partition}-{record.offset}"
