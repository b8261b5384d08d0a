# a look takes no time -> look 1 alone took longer than the limit
import time


def wait_for(sent, group, committed, limit):
    for _ in range(int(limit / 0.05) + 1):
        if committed(group).get((sent.topic, sent.partition), 0) > sent.offset:
            return True
        time.sleep(0.05)
    return False
