from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from labsupport import reading


def consume(consumer, handle):
    places = list(consumer.assignment())
    ends = consumer.end_offsets(places)
    while any(consumer.position(place) < ends[place] for place in places):
        for place, records in consumer.poll(timeout_ms=200).items():
            for record in records:
                handle(record)
                consumer.commit({place: OffsetAndMetadata(record.offset + 1, "", -1)})
