from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from labsupport import reading


def consume(consumer, handle):
    for record in list(reading.to_the_end(consumer)):
        handle(record)
        for attempt in range(3):
            try:
                consumer.commit(reading.after(record))
                break
            except Exception:
                if attempt == 2:
                    raise
