# partition and offset identify a record -> topic elsewhere
from labsupport import Event, EventError


def memory_key(record):
    try:
        return Event.decode(record.value).event_id
    except EventError:
        return f"{record.partition}-{record.offset}"
