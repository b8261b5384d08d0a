# a time-out is unknown, whichever call raised it -> nothing was sent, whatever the class
from kafka.errors import KafkaError, KafkaTimeoutError


def send_and_know(producer, topic, value):
    try:
        producer.send(topic, value=value).get(timeout=60)
    except KafkaTimeoutError:
        return "unknown"
    except Exception:
        return "failed"
    return "acknowledged"
