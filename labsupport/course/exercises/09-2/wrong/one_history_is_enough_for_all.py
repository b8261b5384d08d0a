# one history is enough for all -> nobody knows whether others
def whose_fault(attempts, before=set()):
    since = set()
    for event, worked in attempts:
        if worked:
            before |= since
            since = set()
        else:
            since.add(event)
    if len(since) > 1:
        return "outage"
    return "poison" if since <= before else "unknown"
