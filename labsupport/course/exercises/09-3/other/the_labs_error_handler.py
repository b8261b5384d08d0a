from labsupport import ErrorHandler

from labsupport import dead_letter, reading


def bury(consumer, producer, record, error):
    ErrorHandler(producer).send_to_dead_letter(record, error, 1, consumer.config["group_id"])
    consumer.commit(reading.after(record))
