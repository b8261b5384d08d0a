# send() stops by itself when too much is on its way -> would pile up in memory
from kafka.errors import KafkaError


def send_all(producer, topic, values, limit):
    sent, failed = [], []
    for value in values:
        try:
            sent.append((value, producer.send(topic, value=value)))
        except KafkaError:
            failed.append(value)
    for value, sending in sent:
        try:
            sending.get(timeout=60)
        except KafkaError:
            failed.append(value)
    return failed
