# the limit counts what is waited for, and one more may be sent -> allowed
from collections import deque
from kafka.errors import KafkaError


def send_all(producer, topic, values, limit):
    waiting, failed = deque(), []
    for value in values:
        waiting.append((value, producer.send(topic, value=value)))
        if len(waiting) > limit:
            value, sending = waiting.popleft()
            sending.get(timeout=60)
    while waiting:
        waiting.popleft()[1].get(timeout=60)
    return failed
