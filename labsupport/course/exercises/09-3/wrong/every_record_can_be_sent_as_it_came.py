# every record can be sent as it came -> TypeError
from labsupport import dead_letter, reading


def bury(consumer, producer, record, error):
    letter = dead_letter.wrap(record, error, 1, consumer.config["group_id"])
    key, value, headers = letter.encode()
    topic = dead_letter.topic_of(record.topic)
    headers = [*record.headers, *headers[len(record.headers) :]]
    producer.send(topic, record.value, record.key, headers).get(timeout=10)
    consumer.commit(reading.after(record))
