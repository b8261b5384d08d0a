# ten looks are enough -> what ends the wait
import time


def wait_for(sent, group, committed, limit):
    for _ in range(10):
        if committed(group).get((sent.topic, sent.partition), 0) > sent.offset:
            return True
        time.sleep(0.05)
    return False
