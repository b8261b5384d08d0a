# one commit at the end is enough -> processed again after a restart
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from labsupport import reading


def consume(consumer, handle):
    for record in reading.to_the_end(consumer):
        handle(record)
    consumer.commit()
