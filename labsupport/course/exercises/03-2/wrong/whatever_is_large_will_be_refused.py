# whatever is large will be refused -> was never called with 1 of these
from collections import deque
from kafka.errors import MessageSizeTooLargeError


def send_all(producer, topic, values, limit):
    waiting, failed = deque(), []

    def settle():
        value, sending = waiting.popleft()
        try:
            sending.get(timeout=60)
        except Exception:
            failed.append(value)

    for value in values:
        if len(value) > 5_000:
            failed.append(value)
            continue
        if len(waiting) == limit:
            settle()
        try:
            waiting.append((value, producer.send(topic, value=value)))
        except Exception:
            failed.append(value)
    while waiting:
        settle()
    return failed
