# whatever has failed before counts -> This is
def whose_fault(attempts):
    if len({event for event, worked in attempts if not worked}) > 1:
        return "outage"
    worked = any(worked for _, worked in attempts)
    return "poison" if worked and attempts.count(attempts[-1]) > 1 else "unknown"
