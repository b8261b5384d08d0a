from labsupport import Event, EventError


def memory_key(record):
    """The text by which this record's event is remembered."""
    try:
        return Event.decode(record.value).event_id
    except EventError:
        return f"{record.topic}-{record.partition}-{record.offset}"
