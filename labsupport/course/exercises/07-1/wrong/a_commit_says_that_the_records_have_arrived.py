# a commit says that the records have arrived -> is lost
from labsupport import reading


def consume(consumer, handle):
    ended = reading.at_the_end(consumer)
    while not ended():
        for records in consumer.poll(timeout_ms=200).values():
            consumer.commit(reading.after(records[-1]))
            for record in records:
                handle(record)
