def paid(events):
    """What each customer has paid, whatever the order of the events."""
    whose, payments = {}, {}
    for event in events:
        if event.event_type == "OrderCreated":
            whose[event.payload["order_id"]] = event.payload["user_id"]
        elif event.event_type == "PaymentProcessed":
            payments[event.event_id] = event.payload
    totals = {}
    for payment in payments.values():
        customer = whose.get(payment["order_id"], "?")
        totals[customer] = totals.get(customer, 0) + payment["amount"]
    return totals
