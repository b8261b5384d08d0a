# a default argument is new in each call -> is in none of these events
from decimal import Decimal


def paid(events, totals={}):
    events = {event.event_id: event for event in events}.values()
    whose = {e.payload["order_id"]: e.payload["user_id"] for e in events if e.event_type == "OrderCreated"}
    for event in events:
        if event.event_type == "PaymentProcessed":
            customer = whose.get(event.payload["order_id"], "?")
            totals[customer] = totals.get(customer, 0) + event.payload["amount"]
    return totals
