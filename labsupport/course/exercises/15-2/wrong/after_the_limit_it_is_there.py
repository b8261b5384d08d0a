# after the limit it is there -> the page never gets the record
import time


def wait_for(sent, group, committed, limit):
    end = time.monotonic() + limit
    while committed(group).get((sent.topic, sent.partition), 0) <= sent.offset:
        if time.monotonic() >= end:
            return True
        time.sleep(0.05)
    return True
