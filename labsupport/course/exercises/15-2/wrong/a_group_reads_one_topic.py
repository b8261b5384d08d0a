# a group reads one topic -> the group reads two topics
import time


def wait_for(sent, group, committed, limit):
    end = time.monotonic() + limit
    while {partition: offset for (_, partition), offset in committed(group).items()}.get(
        sent.partition, 0
    ) <= sent.offset:
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True
