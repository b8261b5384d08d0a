from decimal import Decimal


def paid(events):
    events = sorted(events, key=lambda e: e.event_type)  # orders before payments
    done, whose, totals = set(), {}, {}
    for event in events:
        if event.event_type == "OrderCreated":
            whose[event.payload["order_id"]] = event.payload["user_id"]
            totals.setdefault(event.payload["user_id"], Decimal(0))
        elif event.event_type == "PaymentProcessed" and event.event_id not in done:
            done.add(event.event_id)
            customer = whose.get(event.payload["order_id"], "?")
            totals[customer] = totals.get(customer, Decimal(0)) + event.payload["amount"]
    return totals
