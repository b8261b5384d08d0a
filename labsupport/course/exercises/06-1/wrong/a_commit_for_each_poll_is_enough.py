# a commit for each poll is enough -> after each piece of work
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from labsupport import reading


def work_off(consumer, slow):
    ended = reading.at_the_end(consumer)
    with ThreadPoolExecutor(1) as pool:
        while not ended():
            for records in consumer.poll(timeout_ms=200).values():
                consumer.pause(*consumer.assignment())
                for record in records:
                    work = pool.submit(slow, record)
                    while not work.done():
                        consumer.poll(timeout_ms=100)
                    work.result()
                consumer.resume(*consumer.paused())
                consumer.commit(reading.after(record))
