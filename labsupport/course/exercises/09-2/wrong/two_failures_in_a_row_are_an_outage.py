# two failures in a row are an outage -> This is 'unknown'
def whose_fault(attempts):
    if len(attempts) > 1 and not attempts[-2][1]:
        return "outage"
    return "poison" if (attempts[-1][0], False) in attempts[:-1] else "unknown"
