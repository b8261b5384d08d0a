# the id is what is shown of it -> one text for two events
from labsupport import Event, EventError


def memory_key(record):
    try:
        return Event.decode(record.value).event_id[:8]
    except EventError:
        return f"{record.topic}-{record.partition}-{record.offset}"
