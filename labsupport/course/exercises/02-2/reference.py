def key_of(event):
    """The key of this event's record, as bytes."""
    for field in ("order_id", "auction_id", "report_id"):
        if field in event.payload:
            return event.payload[field].encode()
