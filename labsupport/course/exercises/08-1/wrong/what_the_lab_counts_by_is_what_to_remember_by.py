# what the lab counts by is what to remember by -> one text for two events
from labsupport import reading


def memory_key(record):
    return reading.id_of(record)
