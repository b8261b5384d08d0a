# a time-out is an error -> it returns False
import time


def wait_for(sent, group, committed, limit):
    end = time.monotonic() + limit
    while committed(group).get((sent.topic, sent.partition), 0) <= sent.offset:
        if time.monotonic() >= end:
            raise TimeoutError("the page")
        time.sleep(0.05)
    return True
