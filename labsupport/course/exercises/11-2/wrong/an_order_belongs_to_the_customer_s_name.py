# an order belongs to the customer's name -> a customer can have two orders
from decimal import Decimal


def paid(events):
    events = {event.event_id: event for event in events}.values()
    last = {e.payload["user_id"]: e.payload["order_id"] for e in events if e.event_type == "OrderCreated"}
    whose = {o: u for u, o in last.items()}
    totals = {}
    for event in events:
        if event.event_type == "PaymentProcessed":
            customer = whose.get(event.payload["order_id"], "?")
            totals[customer] = totals.get(customer, 0) + event.payload["amount"]
    return totals
