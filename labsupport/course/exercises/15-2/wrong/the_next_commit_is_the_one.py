# the next commit is the one -> It returned True
import time


def wait_for(sent, group, committed, limit):
    before, end = committed(group), time.monotonic() + limit
    while committed(group) == before:
        if time.monotonic() >= end:
            return before.get((sent.topic, sent.partition), 0) > sent.offset
        time.sleep(0.05)
    return True
