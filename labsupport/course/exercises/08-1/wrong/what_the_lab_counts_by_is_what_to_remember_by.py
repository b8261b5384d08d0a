# what the lab counts by is what to remember by -> Two events are remembered by one text
from labsupport import reading


def memory_key(record):
    return reading.id_of(record)
