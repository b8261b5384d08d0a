# the value is all that counts -> unwrap cannot read
from labsupport import dead_letter


def careless(consumer, producer, record, error):
    consumer.commit()
    headers = [("error", str(error).encode())]
    producer.send(dead_letter.topic_of(record.topic), record.value, headers=headers)


def bury(consumer, producer, record, error):
    careless(consumer, producer, record, error)
