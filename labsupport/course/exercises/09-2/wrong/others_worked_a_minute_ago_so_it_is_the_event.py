# others worked a minute ago, so it is the event -> nobody knows whether others
def whose_fault(attempts):
    since = set()
    for each, worked in attempts:
        since = set() if worked else since | {each}
    if len(since) > 1:
        return "outage"
    return "poison" if any(worked for _, worked in attempts) else "unknown"
