# nobody waits longer than a second -> was on its way
import time


def wait_for(sent, group, committed, limit):
    end = time.monotonic() + min(limit, 1)
    while committed(group).get((sent.topic, sent.partition), 0) <= sent.offset:
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True
