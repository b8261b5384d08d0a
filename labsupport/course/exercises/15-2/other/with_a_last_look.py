import time


def wait_for(sent, group, committed, limit):
    end = time.monotonic() + limit

    def passed():
        return committed(group).get((sent.topic, sent.partition), 0) > sent.offset

    while not passed() and time.monotonic() < end:
        time.sleep(0.05)
    return passed()
