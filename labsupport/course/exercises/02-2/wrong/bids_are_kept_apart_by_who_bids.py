# bids are kept apart by who bids -> is it in your key?
def key_of(event):
    p = event.payload
    return (p.get("order_id") or p.get("user_id") or p.get("report_id")).encode()
