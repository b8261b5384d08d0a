# the first error ends it -> good values are not in the topic
from collections import deque


def send_all(producer, topic, values, limit):
    waiting, failed = deque(), []
    try:
        for value in values:
            if len(waiting) == limit:
                waiting.popleft().get(timeout=60)
            waiting.append(producer.send(topic, value=value))
        while waiting:
            waiting.popleft().get(timeout=60)
    except Exception:
        failed.append(value)
    return failed
