# a refused record is retried -> too often
from collections import deque
from kafka.errors import MessageSizeTooLargeError


def send_all(producer, topic, values, limit):
    waiting, failed = deque(), []

    def settle():
        value, sending = waiting.popleft()
        try:
            sending.get(timeout=60)
        except Exception:
            try:
                producer.send(topic, value=value).get(timeout=60)
            except Exception:
                failed.append(value)

    for value in values:
        if len(waiting) == limit:
            settle()
        try:
            waiting.append((value, producer.send(topic, value=value)))
        except Exception:
            failed.append(value)
    while waiting:
        settle()
    return failed
