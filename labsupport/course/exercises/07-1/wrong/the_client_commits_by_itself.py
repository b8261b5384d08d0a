# the client commits by itself -> it should be 5
from labsupport import reading


def consume(consumer, handle):
    for record in reading.to_the_end(consumer):
        handle(record)
