from labsupport import Event, EventError


def memory_key(record):
    """The text by which this record's event is remembered."""
    return ...
