# the kind of thing is what it is about -> All events of orders are in one partition
def key_of(event):
    for field in ("order_id", "auction_id", "report_id"):
        if field in event.payload:
            return field.encode()
