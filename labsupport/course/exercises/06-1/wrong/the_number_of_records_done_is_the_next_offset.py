# the number of records done is the next offset -> it should be 4
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from labsupport import reading


def work_off(consumer, slow):
    from kafka import TopicPartition
    from kafka.structs import OffsetAndMetadata

    done = {}
    with ThreadPoolExecutor(1) as pool:
        for record in reading.to_the_end(consumer):
            work = pool.submit(slow, record)
            consumer.pause(*consumer.assignment())
            while not work.done():
                consumer.poll(timeout_ms=100)
            consumer.resume(*consumer.paused())
            work.result()
            place = TopicPartition(record.topic, record.partition)
            done[place] = done.get(place, 0) + 1
            consumer.commit({place: OffsetAndMetadata(done[place], "", -1)})
