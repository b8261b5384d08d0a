# committed is the last processed -> but not committed
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from labsupport import dead_letter, reading


def bury(consumer, producer, record, error):
    letter = dead_letter.wrap(record, error, 1, consumer.config["group_id"])
    key, value, headers = letter.encode()
    topic = dead_letter.topic_of(record.topic)
    producer.send(topic, value, key, headers).get(timeout=10)
    place = TopicPartition(record.topic, record.partition)
    consumer.commit({place: OffsetAndMetadata(record.offset, "", -1)})
