# the reader commits after each record -> is it more than the record's
import time


def wait_for(sent, group, committed, limit):
    end = time.monotonic() + limit
    while committed(group).get((sent.topic, sent.partition), 0) != sent.offset + 1:
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True
