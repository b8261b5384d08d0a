# the processor's time is the time -> what ends the wait
import time


def wait_for(sent, group, committed, limit):
    end = time.process_time() + limit
    while committed(group).get((sent.topic, sent.partition), 0) <= sent.offset:
        if time.process_time() >= end:
            return False
        time.sleep(0.05)
    return True
