# every error of send() is a KafkaError -> Unsupported type for serialized value
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError


def send_and_know(producer, topic, value):
    try:
        sending = producer.send(topic, value=value)
    except KafkaError:
        return "failed"
    try:
        sending.get(timeout=60)
    except MessageSizeTooLargeError:
        return "failed"
    except Exception:
        return "unknown"
    return "acknowledged"
