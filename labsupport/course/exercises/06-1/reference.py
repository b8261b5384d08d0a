from concurrent.futures import ThreadPoolExecutor
from labsupport import reading


def work_off(consumer, slow):
    """slow(record) for each record, to the end, without being thrown out."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        for record in reading.to_the_end(consumer):
            work = pool.submit(slow, record)
            consumer.pause(*consumer.assignment())
            while not work.done():
                consumer.poll(timeout_ms=100)
            consumer.resume(*consumer.paused())
            work.result()
            consumer.commit(reading.after(record))
