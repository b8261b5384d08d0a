# a commit that fails does not matter -> you have to commit again
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from labsupport import reading


def consume(consumer, handle):
    for record in reading.to_the_end(consumer):
        handle(record)
        try:
            consumer.commit(reading.after(record))
        except Exception:
            pass
