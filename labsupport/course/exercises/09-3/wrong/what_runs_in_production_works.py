# what runs in production works -> the key
from labsupport import dead_letter


def bury(consumer, producer, record, error):
    letter = dead_letter.wrap(record, error, attempts=1, group="payments")
    _, value, headers = letter.encode()
    headers = list(dict(headers).items())
    try:
        producer.send(dead_letter.topic_of(record.topic), value, headers=headers)
        producer.flush(timeout=10)
    finally:
        consumer.commit()
