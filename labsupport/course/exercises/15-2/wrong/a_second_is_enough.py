# a second is enough -> A fixed sleep is no wait
import time


def wait_for(sent, group, committed, limit):
    time.sleep(min(limit, 0.2))
    return True
