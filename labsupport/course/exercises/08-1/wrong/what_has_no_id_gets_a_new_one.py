# what has no id gets a new one -> the event takes effect twice
from uuid import uuid4
from labsupport import Event, EventError


def memory_key(record):
    try:
        return Event.decode(record.value).event_id
    except EventError:
        return str(uuid4())
