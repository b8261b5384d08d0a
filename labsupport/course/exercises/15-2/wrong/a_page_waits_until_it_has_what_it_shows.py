# a page waits until it has what it shows -> must not wait for ever
import time


def wait_for(sent, group, committed, limit):
    while committed(group).get((sent.topic, sent.partition), 0) <= sent.offset:
        time.sleep(0.05)
    return True
