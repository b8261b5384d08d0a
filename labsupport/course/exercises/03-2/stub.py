"""Sending many values, with at most so many on their way."""


def send_all(producer, topic, values, limit):
    """Send all; at most `limit` without an outcome. The values not acknowledged."""
    return ...
