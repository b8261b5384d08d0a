# only the record's own partition must be paused -> a poll() in between returns
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from labsupport import reading


def work_off(consumer, slow):
    from kafka import TopicPartition

    with ThreadPoolExecutor(1) as pool:
        for record in reading.to_the_end(consumer):
            consumer.pause(TopicPartition(record.topic, record.partition))
            work = pool.submit(slow, record)
            while not work.done():
                consumer.poll(timeout_ms=100)
            consumer.resume(*consumer.paused())
            work.result()
            consumer.commit(reading.after(record))
