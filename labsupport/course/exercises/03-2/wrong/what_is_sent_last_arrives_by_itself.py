# what is sent last arrives by itself -> had no outcome yet
from collections import deque
from kafka.errors import KafkaError


def send_all(producer, topic, values, limit):
    waiting, failed = deque(), []
    for value in values:
        if len(waiting) == limit:
            waiting.popleft().get(timeout=60)
        waiting.append(producer.send(topic, value=value))
    return failed
