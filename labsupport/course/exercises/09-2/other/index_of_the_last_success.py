def whose_fault(attempts):
    worked = [number for number, each in enumerate(attempts) if each[1]]
    last = worked[-1] if worked else -1
    failing = {event for event, _ in attempts[last + 1 :]}
    if len(failing) >= 2:
        return "outage"
    event = failing.pop()
    return "poison" if (event, False) in attempts[: last + 1] else "unknown"
