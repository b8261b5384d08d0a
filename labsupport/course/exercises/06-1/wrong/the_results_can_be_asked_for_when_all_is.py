# the results can be asked for when all is submitted -> before you submit the next one
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from labsupport import reading


def work_off(consumer, slow):
    with ThreadPoolExecutor(1) as pool:
        begun = [(record, pool.submit(slow, record)) for record in reading.to_the_end(consumer)]
        for record, work in begun:
            while not work.done():
                consumer.poll(timeout_ms=100)
            work.result()
            consumer.commit(reading.after(record))
