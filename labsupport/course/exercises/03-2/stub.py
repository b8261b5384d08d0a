"""Sends many values, with a limit on how many are in flight."""


def send_all(producer, topic, values, limit):
    """Send all, at most `limit` in flight; return the values not acknowledged."""
    return ...
