# a poll in between only shows that the member is alive -> a poll() in between returns
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from labsupport import reading


def work_off(consumer, slow):
    with ThreadPoolExecutor(1) as pool:
        for record in reading.to_the_end(consumer):
            work = pool.submit(slow, record)
            while not work.done():
                consumer.poll(timeout_ms=100)
            work.result()
            consumer.commit(reading.after(record))
