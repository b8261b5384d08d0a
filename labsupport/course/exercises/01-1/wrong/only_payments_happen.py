# only payments happen -> may look alike and still be two
def happenings(events):
    return len({e.event_id for e in events if e.event_type == "PaymentProcessed"})
