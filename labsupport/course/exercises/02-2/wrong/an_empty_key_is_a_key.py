# an empty key is a key -> an empty key identifies nothing
def key_of(event):
    return event.payload.get("order_id", event.payload.get("auction_id", "")).encode()
