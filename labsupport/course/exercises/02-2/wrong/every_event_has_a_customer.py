# every event has a customer -> KeyError: 'user_id'
def key_of(event):
    return event.payload["user_id"].encode()
