# what is unknown will pass -> until somebody fixes the cause
from labsupport import retry


def decide(attempt, waited, error):
    kind = retry.classify(error)
    wait = min(3, 0.5 * 2 ** (attempt - 1))
    if kind == "permanent":
        return "dead letter"
    if attempt < 5 and waited + wait <= 8:
        return wait
    return "pause"
