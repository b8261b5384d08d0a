# what fails three times is poison -> This is
def whose_fault(attempts):
    last = attempts[-1][0]
    failed = [event for event, worked in attempts if not worked]
    if failed.count(last) >= 3:
        return "poison"
    return "outage" if len(set(failed)) > 1 else "unknown"
