# commit() commits this record -> a crash now would lose
from labsupport import dead_letter, reading


def bury(consumer, producer, record, error):
    letter = dead_letter.wrap(record, error, 1, consumer.config["group_id"])
    key, value, headers = letter.encode()
    topic = dead_letter.topic_of(record.topic)
    producer.send(topic, value, key, headers).get(timeout=10)
    consumer.commit()
