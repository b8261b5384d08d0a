import time


def wait_for(sent, group, committed, limit):
    begin = time.time()
    while True:
        offsets = committed(group)
        key = (sent.topic, sent.partition)
        if key in offsets and offsets[key] > sent.offset:
            return True
        if time.time() - begin >= limit:
            return False
        time.sleep(0.01)
