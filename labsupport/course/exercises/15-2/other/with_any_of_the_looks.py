import itertools
import time


def wait_for(sent, group, committed, limit):
    def looks():
        end = time.perf_counter() + limit
        for number in itertools.count():
            if number:
                time.sleep(0.05)
            yield committed(group).get((sent.topic, sent.partition), 0)
            if time.perf_counter() >= end:
                return

    return any(offset > sent.offset for offset in looks())
