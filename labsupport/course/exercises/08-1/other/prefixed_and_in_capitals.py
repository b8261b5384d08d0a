from labsupport import Event, EventError


def memory_key(record):
    place = [record.topic, record.partition, record.offset]
    try:
        event = Event.decode(record.value)
    except EventError:
        return "place:" + "/".join(map(str, place))
    else:
        return f"event:{event.event_id.upper()}"
