from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from labsupport import reading


def consume(consumer, handle):
    done = {}
    try:
        for record in reading.to_the_end(consumer):
            handle(record)
            done |= reading.after(record)
    finally:
        if done:
            consumer.commit(done)
