# the event's id is its key -> are in 2 partitions
def key_of(event):
    return event.event_id.encode()
