from labsupport import reading


def consume(consumer, handle):
    ended = reading.at_the_end(consumer)
    while not ended():
        polled = consumer.poll(timeout_ms=100)
        for records in polled.values():
            for record in records:
                handle(record)
        consumer.commit()
