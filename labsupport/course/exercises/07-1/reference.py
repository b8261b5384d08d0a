from labsupport import reading


def consume(consumer, handle):
    """Handle each record to the end; one commit for each poll."""
    ended = reading.at_the_end(consumer)
    while not ended():
        for records in consumer.poll(timeout_ms=200).values():
            for record in records:
                handle(record)
            consumer.commit(reading.after(records[-1]))
