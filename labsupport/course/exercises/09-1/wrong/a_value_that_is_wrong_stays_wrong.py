# a value that is wrong stays wrong -> amount is negative
from labsupport import retry


def decide(attempt, waited, error):
    kind = "permanent" if isinstance(error, ValueError) else retry.classify(error)
    wait = min(3, 0.5 * 2 ** (attempt - 1))
    if kind == "permanent":
        return "dead letter"
    if attempt < 5 and waited + wait <= 8:
        return wait
    return "pause" if kind == "transient" else "dead letter"
