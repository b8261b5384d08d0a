# what was learned in one call helps in the next -> can be read before its order
WHOSE = {}


from decimal import Decimal


def paid(events):
    events = {event.event_id: event for event in events}.values()
    totals = {}
    for event in events:
        if event.event_type == "OrderCreated":
            WHOSE[event.payload["order_id"]] = event.payload["user_id"]
        elif event.event_type == "PaymentProcessed":
            customer = WHOSE.get(event.payload["order_id"], "?")
            totals[customer] = totals.get(customer, 0) + event.payload["amount"]
    return totals
