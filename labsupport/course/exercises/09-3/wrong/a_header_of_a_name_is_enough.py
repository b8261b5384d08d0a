# a header of a name is enough -> the headers
from labsupport import dead_letter, reading


def bury(consumer, producer, record, error):
    letter = dead_letter.wrap(record, error, 1, consumer.config["group_id"])
    key, value, headers = letter.encode()
    topic = dead_letter.topic_of(record.topic)
    headers = list(dict(headers).items())
    producer.send(topic, value, key, headers).get(timeout=10)
    consumer.commit(reading.after(record))
