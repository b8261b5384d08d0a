# an offset is enough for what is no event -> one text for two events
from labsupport import Event, EventError


def memory_key(record):
    try:
        return Event.decode(record.value).event_id
    except EventError:
        return "no event " + str(record.value)
