from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from labsupport import reading


def work_off(consumer, slow):
    waiting, begun = [], None
    places = list(consumer.assignment())
    ends = consumer.end_offsets(places)
    with ThreadPoolExecutor(1) as pool:
        while begun or waiting or any(consumer.position(each) < ends[each] for each in places):
            for records in consumer.poll(timeout_ms=50).values():
                waiting += records
            if begun and begun[1].done():
                begun[1].result()
                consumer.commit(reading.after(begun[0]))
                begun = None
            if waiting and not begun:
                record = waiting.pop(0)
                begun = record, pool.submit(slow, record)
