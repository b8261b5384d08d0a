from labsupport import reading


def consume(consumer, handle):
    from labsupport import Worker

    Worker(consumer, handle).run(until=reading.at_the_end(consumer))
