# committed returns a view that follows the broker -> ask the broker again
import time


def wait_for(sent, group, committed, limit):
    end = time.monotonic() + limit
    offsets = committed(group)
    while offsets.get((sent.topic, sent.partition), 0) <= sent.offset:
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True
