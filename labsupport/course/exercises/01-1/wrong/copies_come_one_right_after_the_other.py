# copies come one right after the other -> has still happened once
def happenings(events):
    ids = [e.event_id for e in events]
    return sum(1 for a, b in zip([None] + ids, ids) if a != b)
