# a commit says that the record has arrived -> more was committed than processed
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from labsupport import reading


def consume(consumer, handle):
    for record in reading.to_the_end(consumer):
        consumer.commit(reading.after(record))
        handle(record)
