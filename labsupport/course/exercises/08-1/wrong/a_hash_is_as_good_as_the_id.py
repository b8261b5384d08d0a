# a hash is as good as the id -> In a new process your function returns something else
from labsupport import Event, EventError


def memory_key(record):
    try:
        return str(hash(Event.decode(record.value).event_id))
    except EventError:
        return f"{record.topic}-{record.partition}-{record.offset}"
