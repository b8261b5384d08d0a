import json
from labsupport import Event, EventError


def memory_key(record):
    try:
        Event.decode(record.value)
        return "id " + json.loads(record.value)["event_id"]
    except EventError:
        return repr((record.topic, record.partition, record.offset))
