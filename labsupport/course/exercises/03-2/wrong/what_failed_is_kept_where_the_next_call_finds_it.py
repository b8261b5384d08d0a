# what failed is kept where the next call finds it -> and no other
from collections import deque
from kafka.errors import MessageSizeTooLargeError

failed = []


def send_all(producer, topic, values, limit):
    waiting = deque()

    def settle():
        value, sending = waiting.popleft()
        try:
            sending.get(timeout=60)
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
