# the last wait is cut to what is left -> do not cut a wait short
from labsupport import retry


def decide(attempt, waited, error):
    kind = retry.classify(error)
    wait = min(3, 0.5 * 2 ** (attempt - 1))
    if kind == "permanent":
        return "dead letter"
    if attempt < 5 and waited < 8:
        return min(wait, 8 - waited)
    return "pause" if kind == "transient" else "dead letter"
