# an error is transient if its class says so -> ConnectionRefusedError
from labsupport import retry


def decide(attempt, waited, error):
    kind = "transient" if isinstance(error, retry.TransientError) else "unknown"
    wait = min(3, 0.5 * 2 ** (attempt - 1))
    if isinstance(error, (retry.PermanentError, retry.EventError)):
        return "dead letter"
    if attempt < 5 and waited + wait <= 8:
        return wait
    return "pause" if kind == "transient" else "dead letter"
