from labsupport import retry


def decide(attempt, waited, error):
    """Seconds until the next attempt, or "dead letter", or "pause"."""
    return ...
