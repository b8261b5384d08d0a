# an offset is one of the topic -> of which partition
import time


def wait_for(sent, group, committed, limit):
    end = time.monotonic() + limit
    while max(committed(group).values(), default=0) <= sent.offset:
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True
