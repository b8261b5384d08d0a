# a second is long enough for an answer -> how long do you wait?
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError


def send_and_know(producer, topic, value):
    try:
        sending = producer.send(topic, value=value)
    except Exception:
        return "failed"
    try:
        sending.get(timeout=1)
    except MessageSizeTooLargeError:
        return "failed"
    except Exception:
        return "unknown"
    return "acknowledged"
