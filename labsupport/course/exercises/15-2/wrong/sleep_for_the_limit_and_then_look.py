# sleep for the limit and then look -> had not ended
import time


def wait_for(sent, group, committed, limit):
    time.sleep(limit)
    return committed(group).get((sent.topic, sent.partition), 0) > sent.offset
