# the wait that is to come does not count -> it begins after the wait
from labsupport import retry


def decide(attempt, waited, error):
    kind = retry.classify(error)
    wait = min(3, 0.5 * 2 ** (attempt - 1))
    if kind == "permanent":
        return "dead letter"
    if attempt < 5 and waited <= 8:
        return wait
    return "pause" if kind == "transient" else "dead letter"
