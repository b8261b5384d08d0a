# a record that fails is handled once more -> as if nothing had happened
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from labsupport import reading


def consume(consumer, handle):
    for record in reading.to_the_end(consumer):
        try:
            handle(record)
        except Exception:
            handle(record)
        consumer.commit(reading.after(record))
