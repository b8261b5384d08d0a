def happenings(events):
    """How many things have happened, however often each was delivered."""
    return len({event.event_id for event in events})
