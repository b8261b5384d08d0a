# what an earlier list had has happened in this one -> delivered again is still one happening
def happenings(events, seen=set()):
    seen.update(event.event_id for event in events)
    return len(seen)
