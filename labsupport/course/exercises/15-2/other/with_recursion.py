import time


def wait_for(sent, group, committed, limit):
    begin = time.monotonic()
    if committed(group).get((sent.topic, sent.partition), 0) > sent.offset:
        return True
    if limit <= 0:
        return False
    time.sleep(min(0.05, limit))
    return wait_for(sent, group, committed, limit - (time.monotonic() - begin))
