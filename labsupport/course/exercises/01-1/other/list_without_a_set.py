def happenings(events):
    seen = []
    for e in events:
        if e.event_id not in seen:
            seen.append(e.event_id)
    return len(seen)
