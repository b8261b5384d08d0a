# all partitions must have passed -> It returned False
import time


def wait_for(sent, group, committed, limit):
    end = time.monotonic() + min(limit, 2)
    while min(committed(group).values(), default=0) <= sent.offset:
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True
