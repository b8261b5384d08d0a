from labsupport import retry


def decide(attempt, waited, error):
    """Seconds until the next attempt, or "dead letter", or "pause"."""
    kind = retry.classify(error)
    wait = min(3, 0.5 * 2 ** (attempt - 1))
    if kind != "permanent" and attempt < 5 and waited + wait <= 8:
        return wait
    return "pause" if kind == "transient" else "dead letter"
