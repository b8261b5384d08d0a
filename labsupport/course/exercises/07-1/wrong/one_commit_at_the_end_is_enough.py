# one commit at the end is enough -> 5 records were handled before
from labsupport import reading


def consume(consumer, handle):
    for record in reading.to_the_end(consumer):
        handle(record)
    consumer.commit()
