def key_of(event):
    about = {"OrderCreated": "order", "PaymentProcessed": "order", "BidSubmitted": "auction"}
    name = about.get(event.event_type)
    return f"{name}/{event.payload[name + '_id']}".encode() if name else b"report"
