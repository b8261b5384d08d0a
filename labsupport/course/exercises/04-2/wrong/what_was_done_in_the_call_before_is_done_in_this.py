# what was done in the call before is done in this one -> never delivered again
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from labsupport import reading


def consume(consumer, handle, done={}):
    try:
        for record in reading.to_the_end(consumer):
            handle(record)
            done.update(reading.after(record))
    finally:
        if done:
            consumer.commit(done)
