# a thread that was started is work that is done -> still at work
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from labsupport import reading


def work_off(consumer, slow):
    for record in reading.to_the_end(consumer):
        Thread(target=slow, args=[record]).start()
