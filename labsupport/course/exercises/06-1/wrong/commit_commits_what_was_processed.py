# commit() commits what was processed -> more was committed than processed
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from labsupport import reading


def work_off(consumer, slow):
    with ThreadPoolExecutor(1) as pool:
        for record in reading.to_the_end(consumer):
            work = pool.submit(slow, record)
            consumer.pause(*consumer.assignment())
            while not work.done():
                consumer.poll(timeout_ms=100)
            consumer.resume(*consumer.paused())
            work.result()
            consumer.commit()
