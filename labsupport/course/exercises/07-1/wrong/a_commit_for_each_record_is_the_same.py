# a commit for each record is the same -> commits for three polls
from labsupport import reading


def consume(consumer, handle):
    for record in reading.to_the_end(consumer):
        handle(record)
        consumer.commit(reading.after(record))
