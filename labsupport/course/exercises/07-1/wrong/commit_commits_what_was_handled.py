# commit() commits what was handled -> commits for three polls
from labsupport import reading


def consume(consumer, handle):
    for record in reading.to_the_end(consumer):
        consumer.commit()
        handle(record)
    consumer.commit()
