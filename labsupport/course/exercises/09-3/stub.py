"""Setting aside what cannot be processed: `careless` was found in a service, `bury` is yours."""

from labsupport import dead_letter, reading


def careless(consumer, producer, record, error):
    consumer.commit()
    headers = [("error", str(error).encode())]
    producer.send(dead_letter.topic_of(record.topic), record.value, headers=headers)


def bury(consumer, producer, record, error):
    """Write the dead letter; then commit this record, and no other."""
    return ...
