from labsupport import reading


def consume(consumer, handle):
    """Handle each record to the end; commit exactly what was processed."""
    for record in reading.to_the_end(consumer):
        handle(record)
        consumer.commit(reading.after(record))
