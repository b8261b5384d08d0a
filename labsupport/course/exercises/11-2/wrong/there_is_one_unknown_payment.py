# there is one unknown payment -> how many payments without an order
from decimal import Decimal


def paid(events):
    events = {event.event_id: event for event in events}.values()
    whose = {e.payload["order_id"]: e.payload["user_id"] for e in events if e.event_type == "OrderCreated"}
    totals = {}
    for event in events:
        if event.event_type == "PaymentProcessed" and event.payload["order_id"] not in whose:
            totals["?"] = event.payload["amount"]
        elif event.event_type == "PaymentProcessed":
            customer = whose.get(event.payload["order_id"], "?")
            totals[customer] = totals.get(customer, 0) + event.payload["amount"]
    return totals
