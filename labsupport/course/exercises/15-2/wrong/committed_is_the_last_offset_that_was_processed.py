# committed is the last offset that was processed -> at the record's own offset it is not processed yet
import time


def wait_for(sent, group, committed, limit):
    end = time.monotonic() + limit
    while committed(group).get((sent.topic, sent.partition), -1) < sent.offset:
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True
