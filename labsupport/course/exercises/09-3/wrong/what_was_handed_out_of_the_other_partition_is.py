# what was handed out of the other partition is done, too -> in each partition: a crash now would lose 3 records
from kafka import TopicPartition
from labsupport import dead_letter, reading


def bury(consumer, producer, record, error):
    letter = dead_letter.wrap(record, error, 1, consumer.config["group_id"])
    key, value, headers = letter.encode()
    topic = dead_letter.topic_of(record.topic)
    producer.send(topic, value, key, headers).get(timeout=10)
    consumer.seek(TopicPartition(record.topic, record.partition), record.offset + 1)
    consumer.commit()
