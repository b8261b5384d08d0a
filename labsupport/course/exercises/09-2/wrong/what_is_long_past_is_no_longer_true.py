# what is long past is no longer true -> what worked between two failures
def whose_fault(attempts):
    since, before = set(), set()
    for event, worked in attempts[-100:]:
        if worked:
            before |= since
            since = set()
        else:
            since.add(event)
    if len(since) > 1:
        return "outage"
    return "poison" if since <= before else "unknown"
