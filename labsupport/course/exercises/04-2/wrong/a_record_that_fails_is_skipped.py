# a record that fails is skipped -> it is lost
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from labsupport import reading


def consume(consumer, handle):
    for record in reading.to_the_end(consumer):
        try:
            handle(record)
        except Exception:
            continue
        consumer.commit(reading.after(record))
