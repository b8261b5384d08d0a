from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from labsupport import dead_letter, reading


def bury(consumer, producer, record, error):
    letter = dead_letter.wrap(record, error, 1, consumer.config["group_id"]).encode()
    sending = producer.send(
        f"{record.topic}-dlt", letter[1], key=letter[0], headers=letter[2], partition=record.partition
    )
    producer.flush()
    if not sending.succeeded():
        raise sending.exception
    offsets = {TopicPartition(record.topic, record.partition): OffsetAndMetadata(record.offset + 1, "", -1)}
    consumer.commit(offsets)
    return True
