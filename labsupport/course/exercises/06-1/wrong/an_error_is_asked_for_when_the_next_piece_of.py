# an error is asked for when the next piece of work is done -> as if nothing had happened
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from labsupport import reading


def work_off(consumer, slow):
    before = None
    with ThreadPoolExecutor(1) as pool:
        for record in reading.to_the_end(consumer):
            if before:
                before.result()
            before = pool.submit(slow, record)
            consumer.pause(*consumer.assignment())
            while not before.done():
                consumer.poll(timeout_ms=100)
            consumer.resume(*consumer.paused())
            if not before.exception():
                consumer.commit(reading.after(record))
