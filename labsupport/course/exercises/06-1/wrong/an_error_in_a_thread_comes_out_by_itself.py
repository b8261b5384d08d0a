# an error in a thread comes out by itself -> stays in its thread
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from labsupport import reading


def work_off(consumer, slow):
    for record in reading.to_the_end(consumer):
        work = Thread(target=slow, args=[record])
        work.start()
        consumer.pause(*consumer.assignment())
        while work.is_alive():
            consumer.poll(timeout_ms=100)
        consumer.resume(*consumer.paused())
        consumer.commit(reading.after(record))
