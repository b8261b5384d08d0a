import time


def wait_for(sent, group, committed, limit):
    """Whether the group has processed the record within `limit` seconds."""
    end = time.monotonic() + limit
    while committed(group).get((sent.topic, sent.partition), 0) <= sent.offset:
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True
