# what fails twice is poison -> nobody knows whether others
def whose_fault(attempts):
    event = attempts[-1][0]
    since = set()
    for each, worked in attempts:
        since = set() if worked else since | {each}
    if len(since) > 1:
        return "outage"
    return "poison" if attempts.count((event, False)) > 1 else "unknown"
