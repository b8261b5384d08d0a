# whatever is not a KafkaTimeoutError is a refusal -> RequestTimedOutError
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError


def send_and_know(producer, topic, value):
    try:
        sending = producer.send(topic, value=value)
    except Exception:
        return "failed"
    try:
        sending.get(timeout=60)
    except KafkaTimeoutError:
        return "unknown"
    except Exception:
        return "failed"
    return "acknowledged"
