"""Trials of a rebuild that is killed half-way and run again: it must reach the state of the live report."""

import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.broker.cluster import Cluster
from labsupport.delivery.moments import Kind
from labsupport.delivery.reading import READS, at_the_end
from labsupport.delivery.worker import Worker
from labsupport.experiments.breaking import faults, python_process
from labsupport.history import rebuilding, report
from labsupport.shop import story
from labsupport.shop.event import Event

PARTITIONS = 3
BATCH = 50  # records per poll, so that at a kill some are committed and some are not


@dataclass(frozen=True)
class Result:
    """The result of one trial: the hashes of the live and the rebuilt report.

    `produced`: the number of records in the topic. `read_again`: the number that the second run read.
    """

    seed: int
    live: str
    rebuilt: str
    produced: int
    read_again: int

    @property
    def equal(self) -> bool:
        """Whether the rebuild reached the live state."""
        return self.live == self.rebuilt


def run_trial(kafka: Cluster, seed: int, events: int = 600) -> Result:
    """Publish the seed's events shuffled, some twice; keep a report live; rebuild it, kill that, and run it again.

    Events go to any partition, so a payment can be read before its order.
    """
    chance = random.Random(seed)
    topic = kafka.create_topic(f"97-rebuild-{seed}", PARTITIONS)
    produced = _publish(kafka, topic, story.events(events, seed), chance)
    groups = [f"97-live-{seed}", f"97-rebuilt-{seed}"]
    kafka.delete_groups(groups)
    with python_process.scratch_folder() as folder:
        live, rebuilt = folder / "live.db", folder / "rebuilt.db"
        _keep_live(kafka, topic, groups[0], live)
        nth = chance.randint(produced // 3, produced - 1)
        faults.run(kafka, rebuild, topic, groups[1], str(rebuilt), kill_at=Kind.HANDLED, nth=nth)
        again = faults.run(kafka, rebuild, topic, groups[1], str(rebuilt))
        read_again = sum(moment.kind is Kind.HANDLED for moment in again.moments)
        return Result(seed, _digest(live), _digest(rebuilt), produced, read_again)


def rebuild(kafka: Cluster, at: faults.At, topic: str, group: str, path: str) -> None:
    """In a process that can be killed at any event: rebuild the report in the file."""
    consumer = kafka.consumer(name="rebuild", group_id=group, enable_auto_commit=False, max_poll_records=BATCH)
    with closing(report.database(path)) as database:

        def handle(event: Event) -> None:
            report.add(database, event)
            at(Kind.HANDLED)

        rebuilding.rebuild(consumer, topic, handle, decode=_event, keep=database.commit, every=0)


def _publish(kafka: Cluster, topic: str, events: Sequence[Event], chance: random.Random) -> int:
    disordered = [*events, *chance.sample(events, len(events) // 10)]
    chance.shuffle(disordered)
    producer = kafka.producer(name="shop")
    sendings = [
        producer.send(topic, event.encode(), headers=event.headers(), partition=chance.randrange(PARTITIONS))
        for event in disordered
    ]
    for sending in sendings:
        sending.get(timeout=60)
    return len(disordered)


def _keep_live(kafka: Cluster, topic: str, group: str, path: Path) -> None:
    consumer = kafka.consumer(topic, name="live", group_id=group, **READS)
    with closing(report.database(path)) as database:

        def handle(event: Event) -> None:
            with database:
                report.add(database, event)

        Worker(consumer, handle, decode=_event).run(until=at_the_end(consumer))


def _event(record: ConsumerRecord) -> Event:
    return Event.decode(record.value)


def _digest(path: Path) -> str:
    with closing(report.database(path)) as database:
        return report.digest(database)
