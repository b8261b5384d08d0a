def whose_fault(attempts):
    """Why the last attempt failed: "poison", "outage" or "unknown"."""
    since, before = set(), set()  # who failed since the last success, and before it
    for event, worked in attempts:
        if worked:
            before |= since
            since = set()
        else:
            since.add(event)
    if len(since) > 1:
        return "outage"
    return "poison" if since <= before else "unknown"
