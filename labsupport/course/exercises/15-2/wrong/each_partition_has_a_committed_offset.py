# each partition has a committed offset -> KeyError
import time


def wait_for(sent, group, committed, limit):
    end = time.monotonic() + limit
    while committed(group)[sent.topic, sent.partition] <= sent.offset:
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True
