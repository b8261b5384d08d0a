# errors come from get() only -> MessageSizeTooLargeError
from kafka.errors import KafkaError, KafkaTimeoutError


def send_and_know(producer, topic, value):
    sending = producer.send(topic, value=value)
    try:
        sending.get(timeout=10)
    except KafkaTimeoutError:
        return "unknown"
    except KafkaError:
        return "failed"
    return "acknowledged"
