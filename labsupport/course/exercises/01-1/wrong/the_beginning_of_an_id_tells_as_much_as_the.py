# the beginning of an id tells as much as the whole -> may look alike and still be two
def happenings(events):
    return len({event.event_id[:8] for event in events})
