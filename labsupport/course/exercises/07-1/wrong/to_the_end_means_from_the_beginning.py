# to the end means from the beginning -> was handled again
from labsupport import reading


def consume(consumer, handle):
    while not consumer.assignment():
        consumer.poll(timeout_ms=100)
    consumer.seek_to_beginning()
    ended = reading.at_the_end(consumer)
    while not ended():
        for records in consumer.poll(timeout_ms=200).values():
            for record in records:
                handle(record)
            consumer.commit(reading.after(record))
