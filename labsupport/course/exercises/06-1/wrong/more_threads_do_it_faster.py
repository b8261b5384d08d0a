# more threads do it faster -> in the order of the offsets
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from labsupport import reading


def work_off(consumer, slow):
    with ThreadPoolExecutor(4) as pool:
        begun = []
        for record in reading.to_the_end(consumer):
            begun.append((record, pool.submit(slow, record)))
        for record, work in begun:
            while not work.done():
                consumer.poll(timeout_ms=100)
            work.result()
            consumer.commit(reading.after(record))
