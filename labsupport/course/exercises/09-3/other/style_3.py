from labsupport import Recovery

from labsupport import dead_letter, reading


def bury(consumer, producer, record, error):
    Recovery(producer).bury(record, error, 1, consumer.config["group_id"])
    consumer.commit(reading.after(record))
