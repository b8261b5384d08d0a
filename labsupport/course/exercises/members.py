"""Members of one group in this process, each with its share of the partitions."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kafka import KafkaConsumer

from labsupport.course.exercise import CHECKED
from labsupport.course.lab import Lab
from labsupport.delivery.reading import READS
from labsupport.waiting import until

QUICK = READS | {"heartbeat_interval_ms": 100}


@contextlib.contextmanager
def joined(lab: Lab, topic: str, group: str, names: Sequence[str], **settings: Any) -> Iterator[list[KafkaConsumer]]:
    """For the body of a `with`: consumers with these names (client_id) that share the topic; the group is stable.

    They poll at the same time, each in a thread of its own. Polled in turn, kafka-python 3.0.12 can join for ever: a
    join that is answered between two polls starts again.
    """
    keys = [f"{CHECKED} {group} {name}" for name in names]
    enough = threading.Event()
    try:
        consumers = [
            lab.consumer(topic, name=key, client_id=name, group_id=group, **QUICK | settings)
            for key, name in zip(keys, names, strict=True)
        ]

        def polling(consumer: KafkaConsumer) -> None:
            while not enough.is_set():
                consumer.poll(timeout_ms=100)

        def settled() -> bool:
            known = {
                consumer.config["client_id"]: sorted(place.partition for place in consumer.assignment())
                for consumer in consumers
            }
            return lab.owners(group) == known

        with ThreadPoolExecutor(len(consumers)) as pool:
            threads = [pool.submit(polling, consumer) for consumer in consumers]
            try:
                until(lambda: settled() or any(thread.done() for thread in threads), 60, f"{group} to share")
            finally:
                enough.set()
        for thread in threads:
            thread.result()  # raises what poll() raised
        yield consumers
    finally:
        for key in keys:
            lab.close_client(key)
