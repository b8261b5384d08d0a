"""Setting aside what cannot be processed: `careless` was found in a service, `bury` is yours."""

from labsupport import dead_letter, reading


def careless(consumer, producer, record, error):
    letter = dead_letter.wrap(record, error, attempts=1, group="payments")
    _, value, headers = letter.encode()
    headers = list(dict(headers).items())
    try:
        producer.send(dead_letter.topic_of(record.topic), value, headers=headers)
        producer.flush(timeout=10)
    finally:
        consumer.commit()


def bury(consumer, producer, record, error):
    """Write the dead letter; then commit this record, and no other."""
    return ...
