# copies come one right after the other -> delivered again is still one happening
def happenings(events):
    ids = [e.event_id for e in events]
    return sum(1 for a, b in zip([None] + ids, ids) if a != b)
