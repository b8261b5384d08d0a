# the limit has milliseconds -> what ends the wait
import time


def wait_for(sent, group, committed, limit):
    end = time.monotonic() + limit / 1000
    while committed(group).get((sent.topic, sent.partition), 0) <= sent.offset:
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True
