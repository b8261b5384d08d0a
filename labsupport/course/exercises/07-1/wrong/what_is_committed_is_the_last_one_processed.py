# what is committed is the last one processed -> it should be 5
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from labsupport import reading


def consume(consumer, handle):
    ended = reading.at_the_end(consumer)
    while not ended():
        for place, records in consumer.poll(timeout_ms=200).items():
            for record in records:
                handle(record)
            consumer.commit({place: OffsetAndMetadata(record.offset, "", -1)})
