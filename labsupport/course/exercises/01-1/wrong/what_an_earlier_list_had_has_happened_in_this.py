# what an earlier list had has happened in this one -> has still happened once
def happenings(events, seen=set()):
    seen.update(event.event_id for event in events)
    return len(seen)
