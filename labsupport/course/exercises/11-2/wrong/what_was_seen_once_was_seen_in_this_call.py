# what was seen once was seen in this call -> right about these events before
SEEN = set()


from decimal import Decimal


def paid(events):
    events = [e for e in events if e.event_id not in SEEN and not SEEN.add(e.event_id)]
    whose = {e.payload["order_id"]: e.payload["user_id"] for e in events if e.event_type == "OrderCreated"}
    totals = {}
    for event in events:
        if event.event_type == "PaymentProcessed":
            customer = whose.get(event.payload["order_id"], "?")
            totals[customer] = totals.get(customer, 0) + event.payload["amount"]
    return totals
