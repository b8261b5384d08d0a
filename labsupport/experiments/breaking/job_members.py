"""Jobs in a topic, done by three members of a group, or of a share group. Lesson 16.

In a share group (KIP-932) several members can have one partition: the broker hands each record to one of them, and
keeps track of it until it is acknowledged. kafka-python 3.0.12 has no share consumer, confluent-kafka 2.16 has one.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType

from labsupport.broker.cluster import Cluster
from labsupport.delivery.reading import READS
from labsupport.experiments.breaking.services import Silence
from labsupport.kafka_fixes import has_joined
from labsupport.waiting import until

NAMES = ["A", "B", "C"]
Do = Callable[[str], object]  # does the job of that name
Turn = Callable[[Any, Do], object]


def done_meanwhile(
    kafka: Cluster,
    topic: str,
    group: str,
    turn: Turn,
    jobs: Sequence[str],
    place: Callable[[str], dict[str, Any]] = lambda _: {},
    *,
    slow: str = "",
    share: bool = False,
) -> list[str]:
    """Let three members do the jobs; returns those that are done while the `slow` one, if any, is still in hand.

    Members of the new `group` call `turn(consumer, do)` again and again. Each job is a record and a batch of its own,
    because a broker hands whole batches to a share group; `place(job)` are its arguments for `send`, such as its key.
    What a turn raised comes out. Raises LabError if the jobs in partitions of a member that is free are not done
    within 30 s.
    """
    silence, done = Silence(), list[str]()

    def do(job: str) -> None:
        if job == slow:
            silence.wait()
        done.append(job)

    with _members(kafka, topic, group, lambda consumer: turn(consumer, do), silence, share=share) as (threads, work):
        producer, where = kafka.producer(name="shop"), {}
        for job in jobs:
            where[job] = producer.send(topic, job.encode(), **place(job)).get(timeout=60).partition

        def all_done_that_can_be() -> bool:
            if any(each.done() for each in work):
                return True  # a turn has raised; it comes out at the end of the `with`
            stuck = {name for name, thread in threads.items() if thread in silence.waiting}
            owners = kafka.describe(group).owners
            served = {number for name, numbers in owners.items() if name not in stuck for number in numbers}
            due = {job for job in jobs if job != slow and where[job] in served}
            return len(owners) == len(NAMES) and bool(stuck) == bool(slow) and due <= {*done}

        until(all_done_that_can_be, 60, "the members to do what they can")
        return list(done)


def share_consumer(kafka: Cluster, topic: str, group: str, name: str) -> Any:
    """A ShareConsumer of confluent-kafka that acknowledges explicitly. The group begins at the topic's first record."""
    from confluent_kafka import ShareConsumer

    first = {"share.auto.offset.reset": "earliest"}  # a setting of the group, not of its members; default: latest
    kafka.admin().alter_configs([ConfigResource(ConfigResourceType.GROUP, group, configs=first)])
    settings = {"share.acknowledgement.mode": "explicit", "max.poll.records": 1, "log_level": 0}
    named = {"group.id": group, "client.id": name}
    consumer = ShareConsumer(kafka.connection.confluent_kafka() | named | settings)
    consumer.subscribe([topic])
    return consumer


@contextlib.contextmanager
def _members(
    kafka: Cluster, topic: str, group: str, turn: Callable[[Any], object], silence: Silence, *, share: bool
) -> Iterator[tuple[dict[str, int], list[Future[None]]]]:
    """A, B and C, each with its partitions; gives the thread of each, and its work."""
    enough, threads = threading.Event(), dict[str, int]()
    kafka.delete_groups([group])
    if share:
        made = [share_consumer(kafka, topic, group, name) for name in NAMES]
    else:
        made = [kafka.consumer(topic, name=name, group_id=group, max_poll_records=1, **READS) for name in NAMES]

    def take_turns(name: str, consumer: Any) -> None:
        threads[name] = threading.get_ident()
        with contextlib.closing(consumer):
            while not enough.is_set():
                turn(consumer)

    def settled() -> bool:
        # Who joins again later waits for a member with a slow job, and the others with it.
        aware = share or all(has_joined(consumer) for consumer in made)
        found = kafka.describe(group)
        return aware and found.stable and [*found.owners] == NAMES and all(found.owners.values())

    with ThreadPoolExecutor(len(NAMES)) as pool:
        work = [pool.submit(take_turns, name, consumer) for name, consumer in zip(NAMES, made, strict=True)]
        try:
            until(lambda: settled() or any(each.done() for each in work), 60, "A, B and C to have partitions")
            yield threads, work
        finally:
            enough.set()  # before the silence ends: no further job is done
            silence.end()
    for each in work:
        each.result()
