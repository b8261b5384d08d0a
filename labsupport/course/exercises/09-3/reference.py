from labsupport import dead_letter, reading


def bury(consumer, producer, record, error):
    """Write the dead letter; then commit this record, and no other."""
    letter = dead_letter.wrap(record, error, attempts=1, group=consumer.config["group_id"])
    key, value, headers = letter.encode()
    topic = dead_letter.topic_of(record.topic)
    producer.send(topic, value, key, headers).get(timeout=10)
    consumer.commit(reading.after(record))
