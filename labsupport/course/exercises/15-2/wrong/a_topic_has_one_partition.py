# a topic has one partition -> of which partition
import time


def wait_for(sent, group, committed, limit):
    end = time.monotonic() + limit
    while committed(group).get((sent.topic, 0), 0) <= sent.offset:
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True
