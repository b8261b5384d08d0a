import time
from concurrent.futures import ThreadPoolExecutor


def wait_for(sent, group, committed, limit):
    end = time.monotonic() + limit
    with ThreadPoolExecutor(1) as pool:
        while True:
            offsets = pool.submit(committed, group).result()
            if offsets.get((sent.topic, sent.partition), -1) > sent.offset:
                return True
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)
