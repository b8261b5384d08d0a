# there is one partition -> partition
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from labsupport import reading


def consume(consumer, handle):
    for record in reading.to_the_end(consumer):
        handle(record)
        first = TopicPartition(record.topic, 0)
        consumer.commit({first: OffsetAndMetadata(record.offset + 1, "", -1)})
