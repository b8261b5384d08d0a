# at the end everything is committed, whatever happened -> never delivered again
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from labsupport import reading


def consume(consumer, handle):
    try:
        for record in reading.to_the_end(consumer):
            handle(record)
    finally:
        consumer.commit()
