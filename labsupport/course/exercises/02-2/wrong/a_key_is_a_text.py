# a key is a text -> which is a str
def key_of(event):
    return event.payload.get("order_id", "other")
