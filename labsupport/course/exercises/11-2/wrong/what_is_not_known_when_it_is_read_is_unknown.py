# what is not known when it is read is unknown -> can be read before its order
from decimal import Decimal


def paid(events):
    events = {event.event_id: event for event in events}.values()
    whose, totals = {}, {}
    for event in events:
        if event.event_type == "OrderCreated":
            whose[event.payload["order_id"]] = event.payload["user_id"]
        elif event.event_type == "PaymentProcessed":
            customer = whose.get(event.payload["order_id"], "?")
            totals[customer] = totals.get(customer, 0) + event.payload["amount"]
    return totals
