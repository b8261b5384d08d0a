# what has an id is an event -> one text for two events
import json
from labsupport import Event, EventError


def memory_key(record):
    try:
        return json.loads(record.value)["event_id"]
    except (TypeError, ValueError, KeyError):
        return f"{record.topic}-{record.partition}-{record.offset}"
