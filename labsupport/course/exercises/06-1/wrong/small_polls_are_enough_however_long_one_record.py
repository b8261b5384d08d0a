# small polls are enough, however long one record takes -> between two polls
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from labsupport import reading


def work_off(consumer, slow):
    (place,) = consumer.assignment()
    end = consumer.end_offsets([place])[place]
    while consumer.position(place) < end:
        for records in consumer.poll(timeout_ms=200, max_records=1).values():
            slow(records[0])
            consumer.commit(reading.after(records[0]))
