# what is paid is what was ordered -> two payments of one order
from decimal import Decimal


def paid(events):
    events = {event.event_id: event for event in events}.values()
    done = {e.payload["order_id"] for e in events if e.event_type[0] == "P"}
    totals = {}
    for e in events:
        if e.event_type == "OrderCreated" and e.payload["order_id"] in done:
            user = e.payload["user_id"]
            totals[user] = totals.get(user, 0) + e.payload["amount"]
    return totals
