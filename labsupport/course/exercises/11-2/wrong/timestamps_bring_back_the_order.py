# timestamps bring back the order -> two clocks
from decimal import Decimal


def paid(events):
    events = {event.event_id: event for event in events}.values()
    events = sorted(events, key=lambda event: event.timestamp)
    whose, totals = {}, {}
    for event in events:
        if event.event_type == "OrderCreated":
            whose[event.payload["order_id"]] = event.payload["user_id"]
        elif event.event_type == "PaymentProcessed":
            customer = whose.get(event.payload["order_id"], "?")
            totals[customer] = totals.get(customer, 0) + event.payload["amount"]
    return totals
