# heartbeats keep a busy consumer in its group -> was thrown out
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from labsupport import reading


def work_off(consumer, slow):
    for record in reading.to_the_end(consumer):
        slow(record)
        consumer.commit(reading.after(record))
