# commit before the next poll means before this one -> is lost
from labsupport import reading


def consume(consumer, handle):
    ended = reading.at_the_end(consumer)
    while not ended():
        records = [r for rs in consumer.poll(timeout_ms=200).values() for r in rs]
        if records:
            consumer.commit()
        for record in records:
            handle(record)
