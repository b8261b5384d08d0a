# with a limit of 0 there is nothing to see -> with a limit of 0 it looks once
import time


def wait_for(sent, group, committed, limit):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if committed(group).get((sent.topic, sent.partition), 0) > sent.offset:
            return True
        time.sleep(0.05)
    return False
