# the order's number is the event's id -> may look alike and still be two
def happenings(events):
    return len({event.payload["order_id"] for event in events})
