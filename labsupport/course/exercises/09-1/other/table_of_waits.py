from labsupport import retry


def decide(attempt, waited, error):
    waits = {1: 0.5, 2: 1.0, 3: 2.0, 4: 3.0}
    match retry.classify(error):
        case "permanent":
            return "dead letter"
        case "transient":
            last = "pause"
        case _:
            last = "dead letter"
    wait = waits.get(attempt)
    if wait is None or waited > 8 - wait:
        return last
    return wait
