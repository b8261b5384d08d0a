"""Sends many values, with a limit on how many are in flight."""

from collections import deque

from kafka.errors import KafkaError


def send_all(producer, topic, values, limit):
    """Send all, at most `limit` in flight; return the values not acknowledged."""
    waiting, failed = deque(), []

    def settle():
        value, sending = waiting.popleft()
        try:
            sending.get(timeout=60)
        except KafkaError:
            failed.append(value)

    for value in values:
        if len(waiting) == limit:
            settle()
        try:
            waiting.append((value, producer.send(topic, value=value)))
        except KafkaError:
            failed.append(value)
    while waiting:
        settle()
    return failed
