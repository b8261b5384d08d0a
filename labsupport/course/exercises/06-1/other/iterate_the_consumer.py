from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from labsupport import reading


def work_off(consumer, slow):
    with ThreadPoolExecutor(1) as pool:
        for record in consumer:
            consumer.pause(*consumer.assignment())
            work = pool.submit(slow, record)
            while not work.done():
                consumer.poll(timeout_ms=100)
            consumer.resume(*consumer.paused())
            work.result()
            consumer.commit(reading.after(record))
