# the first wait is doubled already -> after attempt 1 the wait is 0.5 s
from labsupport import retry


def decide(attempt, waited, error):
    kind = retry.classify(error)
    wait = min(3, 0.5 * 2 ** (attempt))
    if kind == "permanent":
        return "dead letter"
    if attempt < 5 and waited + wait <= 8:
        return wait
    return "pause" if kind == "transient" else "dead letter"
