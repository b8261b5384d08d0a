# wait for each send -> that is what the window is for
from kafka.errors import KafkaError


def send_all(producer, topic, values, limit):
    failed = []
    for value in values:
        try:
            producer.send(topic, value=value).get(timeout=60)
        except KafkaError:
            failed.append(value)
    return failed
