# a large record is refused, wherever it is sent -> the broker stored it
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError


def send_and_know(producer, topic, value):
    try:
        sending = producer.send(topic, value=value)
    except Exception:
        return "failed"
    if len(value) > 1_000:
        return "failed"
    try:
        sending.get(timeout=60)
    except MessageSizeTooLargeError:
        return "failed"
    except Exception:
        return "unknown"
    return "acknowledged"
