# numbers side by side stay two numbers -> partition 11, offset 2
from labsupport import Event, EventError


def memory_key(record):
    try:
        return Event.decode(record.value).event_id
    except EventError:
        return f"{record.topic}{record.partition}{record.offset}"
