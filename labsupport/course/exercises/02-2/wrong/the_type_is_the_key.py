# the type is the key -> is it in your key?
def key_of(event):
    return event.event_type.encode()
