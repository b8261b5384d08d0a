"""Mornings after something went wrong in the shop, each made by a real run from a seed. Lesson 16 investigates them.

On the broker and in the databases lies what such a mistake leaves in real life. There is one stand-in: an admin's
request removes the slow member, which otherwise leaves by itself after the poll interval.
"""

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.broker.cluster import Cluster
from labsupport.delivery import dead_letter, reading
from labsupport.delivery.error_handler import ErrorHandler
from labsupport.delivery.retry import Policy
from labsupport.delivery.worker import Worker
from labsupport.errors import LabError
from labsupport.experiments.breaking import faults, members
from labsupport.experiments.breaking.morning_services import (
    EARLY,
    METHODS,
    PARTITIONS,
    SINCE,
    Payments,
    Sent,
    mail,
    send,
    states,
    traffic,
)
from labsupport.experiments.watching import balance, log
from labsupport.history import redrive
from labsupport.shop.event import Event
from labsupport.waiting import until

if TYPE_CHECKING:
    import pandas

    from labsupport.observability.worker_metrics import WorkerMetrics

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
NOTHING, LOST, WAITING, DEAD_LETTERED, TWICE, WRONG = KINDS = (
    "nothing", "lost", "waiting", "dead-lettered", "twice", "wrong",
)  # fmt: skip
SERVICES = PAYMENTS, MAILS = "payments", "mails"
BATCH = 6  # records, of which each poll returns at most that many


@dataclass(frozen=True)
class Morning:
    """What there is of a morning: names of topics and groups, files, and the metrics that the services offer now."""

    day: str
    seed: int
    topic: str
    dead_letters: str
    groups: Mapping[str, str]  # by service
    databases: Mapping[str, Path]  # by service
    pages: "Mapping[str, WorkerMetrics]" = field(default_factory=dict, repr=False)  # by service

    @property
    def of(self) -> str:
        """The seed of what the shop sends that day."""
        return f"{self.seed}/{self.day}"

    @property
    def metrics(self) -> "pandas.DataFrame":
        """What each service has counted since its process began: records and errors, and the commits refused."""
        import pandas

        wanted = ("worker_records_total", "worker_errors_total", "worker_commits_total")
        counted = {
            service: {
                " ".join(sample.labels.values()): int(sample.value)
                for metric in page.registry.collect()
                for sample in metric.samples
                if sample.name in wanted and "committed" not in sample.labels.values()
            }
            for service, page in self.pages.items()
        }
        return pandas.DataFrame(counted).fillna(0).astype(int)


def require(day: str, seed: int) -> None:
    """Raise LabError unless there is such a morning."""
    if day not in DAYS:
        raise LabError(f"There is no morning {day!r}.", "", f"give one of {', '.join(DAYS)}")
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise LabError(f"The seed is {seed!r}.", "seeds are whole numbers", "give such a number, for example 16")


def causes_of(seed: int) -> dict[str, str]:
    """Which mistake each day of that seed's week has: one of CAUSES by day."""
    return dict(zip(DAYS, random.Random(seed).sample(list(CAUSES), len(DAYS)), strict=True))


def happen(kafka: Cluster, morning: Morning) -> Morning:
    """Let the morning happen: its topics are empty, its groups and its databases new. Returns it with its metrics.

    The same day and seed make the same records, and the same effects.
    """
    run = _Run(kafka, morning)
    CAUSES[causes_of(morning.seed)[morning.day]](run)
    return replace(morning, pages=run.pages)


def repaired(kafka: Cluster, morning: Morning) -> None:
    """Let both services, mended, handle what their groups have not committed. Each has its own group.

    The partitions are read one after the other, in the same order as in the morning: Kafka promises no other.
    """
    run = _Run(kafka, morning)
    for partition in run.order:
        run.pay([partition])
    run.mail(PARTITIONS)


@dataclass(frozen=True)
class Damage:
    """What became of a service's events: one of KINDS, and the ids of the events; if wrong, the orders."""

    kind: str = NOTHING
    what: frozenset[str] = frozenset()


def damage(kafka: Cluster, morning: Morning, service: str) -> Damage:
    """What the morning has done to this service, according to broker and database."""
    m = morning
    sheet = balance.read(kafka, m.topic, m.groups[service], m.databases[service], dead_letters=m.dead_letters)
    for kind in (LOST, WAITING, DEAD_LETTERED, TWICE):
        if found := sheet.ids(kind):
            return Damage(kind, frozenset(found))
    wrong = _wrong_orders(m) if service == PAYMENTS else frozenset()
    return Damage(WRONG, wrong) if wrong else Damage()


def _wrong_orders(morning: Morning) -> frozenset[str]:
    """The orders whose state in payments' database does not follow from their events."""
    right: dict[str, tuple[str, str]] = {}
    for each in traffic(morning.of):
        payload = each.event.payload
        if each.created:
            right[each.key] = ("open", str(payload["price"] * payload["quantity"]))
        else:
            right[each.key] = ("paid", right[each.key][1])
    return frozenset(dict(right.items() ^ states(morning.databases[PAYMENTS]).items()))


def _page() -> "WorkerMetrics":
    from labsupport.observability.worker_metrics import WorkerMetrics  # every check imports this module

    return WorkerMetrics()


class _Run:
    """The services of a morning, at work on the broker."""

    def __init__(self, kafka: Cluster, morning: Morning):
        self.kafka, self.morning = kafka, morning
        self.chance = random.Random(f"{morning.of}/run")
        self.order = self.chance.sample(PARTITIONS, len(PARTITIONS))  # in which payments reads the partitions
        self.traffic = traffic(morning.of)
        self.payments = Payments(morning.databases[PAYMENTS])
        self.pages = {service: _page() for service in SERVICES}

    # What the shop sends, and what the services do

    def send(self, traffic: Sequence[Sent] | None = None) -> None:
        send(self.kafka.producer(name="shop"), self.morning.topic, self.traffic if traffic is None else traffic)

    def pay(self, partitions: Iterable[int] = PARTITIONS, handle: Callable[[Event], object] | None = None) -> None:
        self.work(PAYMENTS, handle or self.payments, partitions, decode=_event_in)

    def mail(self, partitions: Iterable[int] = PARTITIONS) -> None:
        self.work(MAILS, mail(self.morning.databases[MAILS]), partitions)

    def work(self, service: str, handle: Callable, partitions: Iterable[int], **more: Any) -> None:
        """Let the service work through these partitions to their ends."""
        consumer = self.kafka.consumer(name=service, group_id=self.morning.groups[service], **reading.READS)
        consumer.assign([TopicPartition(self.morning.topic, each) for each in partitions])
        self.worker(service, consumer, handle, **more).run(until=reading.at_the_end(consumer))
        self.kafka.close_client(service)

    def worker(self, service: str, consumer: Any, handle: Callable, **more: Any) -> Worker:
        producer = self.kafka.producer(name=f"{service}-dead-letters", **dead_letter.producer_settings())
        handler = ErrorHandler(producer, Policy(attempts=1))
        return Worker(consumer, handle, error_handler=handler, hooks=[self.pages[service]], **more)

    def redrive(self, *, addressed: bool, **chosen: Any) -> None:
        selection = redrive.selection(self.morning.dead_letters, **chosen)
        reader, producer = self.kafka.consumer(name="redrive"), self.kafka.producer(name="redriven")
        redrive.redrive(reader, producer, selection, addressed=addressed)

    # What happens on every morning

    def early(self) -> None:
        """The first events: all is well, but the bank is closed for one payment, which is redriven at eight."""
        first, self.traffic = self.traffic[:EARLY], self.traffic[EARLY:]
        refused = next(each for each in first if not each.created and each.partition == 1)
        self.send(first)
        self.payments.refused = {refused.event.event_id}
        self.pay()
        self.payments.refused = ()
        self.redrive(addressed=True)
        self.pay()
        self.mail()


def _event_in(record: ConsumerRecord) -> Event:
    return Event.decode(record.value)


# The mistakes


def _committed_first(run: _Run) -> None:
    """Payments commits each batch before it processes it, and is killed in the middle of one."""
    run.early()
    run.send()
    m = run.morning
    arguments = (m.topic, m.groups[PAYMENTS], m.databases[PAYMENTS], 0)
    nth = run.chance.randint(2, BATCH - 1)
    faults.run(run.kafka, _commits_first, *arguments, kill_at="handling", nth=nth)
    run.pages[PAYMENTS] = _page()  # those of the new process
    run.pay()
    run.mail()


def _commits_first(kafka: Cluster, at: faults.At, topic: str, group: str, database: Path, partition: int) -> None:
    consumer = kafka.consumer(name=PAYMENTS, group_id=group, **reading.READS)
    consumer.assign([TopicPartition(topic, partition)])
    pay, ended = Payments(database), reading.at_the_end(consumer)
    while not ended():
        for records in consumer.poll(timeout_ms=200, max_records=BATCH).values():
            consumer.commit()
            for record in records:
                at("handling", record)
                pay(_event_in(record))


def _swallowed(run: _Run) -> None:
    """Payments does not know one method of payment; it ignores the error and goes on."""
    run.early()
    run.payments.methods = _all_but(run.chance.choice(METHODS))
    run.send()

    def pays(event: Event) -> None:
        with contextlib.suppress(KeyError):
            run.payments(event)

    run.pay(handle=pays)
    run.mail()


def _all_but(*methods: str) -> list[str]:
    return [each for each in METHODS if each not in methods]


def _shared_group(run: _Run) -> None:
    """Mails was started again, with the group of payments."""
    run.early()
    m, group = run.morning, run.morning.groups[PAYMENTS]
    handlers: dict[str, tuple[Callable, dict]] = {
        PAYMENTS: (run.payments, {"decode": _event_in}),
        MAILS: (mail(m.databases[MAILS]), {}),
    }
    workers = [
        run.worker(
            service, run.kafka.consumer(m.topic, name=service, group_id=group, **members.SETTINGS), handle, **more
        )
        for service, (handle, more) in handlers.items()
    ]
    with ThreadPoolExecutor(len(workers)) as pool:
        working = [pool.submit(worker.run) for worker in workers]
        try:
            _until(lambda: members.owners(run.kafka, group) == {MAILS: [0], PAYMENTS: [1]}, "the partitions", working)
            run.send()
            _until(lambda: log.committed(run.kafka, m.topic, group) == log.bounds(run.kafka, m.topic)[1], "it", working)
        finally:
            for worker in workers:
                worker.stop()
    for each in working:
        each.result()
    for service in SERVICES:
        run.kafka.close_client(service)


def _until(condition: Callable[[], bool], what: str, working: Sequence[Future]) -> None:
    until(lambda: condition() or any(each.done() for each in working), 60, what)


def _producer_rule(run: _Run) -> None:
    """The shop's release computes an order's amount without its quantity, and payments believes it."""
    run.early()
    run.payments.computes = False
    run.send([_without_quantity(each) if each.release == SINCE and each.created else each for each in run.traffic])
    run.pay()
    run.mail()


def _without_quantity(sent: Sent) -> Sent:
    payload = sent.event.payload
    return replace(sent, event=replace(sent.event, payload={**payload, "amount": payload["price"]}))


def _no_key(run: _Run) -> None:
    """The shop's release sends to the partitions in turn, whatever the key; payments reads one before the other."""
    run.early()
    run.send(next(sent for sent in in_turns(run.traffic, run.morning.of) if overtaken(sent, run.order)))
    for partition in run.order:
        run.pay([partition])
    run.mail()


def in_turns(traffic: Sequence[Sent], seed: str) -> Iterator[list[Sent]]:
    """What a release without keys may send: in turn, begun with one partition or another, then anyhow. Pure."""
    since = [each.event.event_id for each in traffic if each.release == SINCE]
    chance = random.Random(f"{seed}/turns")
    for start in count():
        any_of = chance.choices(PARTITIONS, k=len(since))
        in_turn = [(start + number) % len(PARTITIONS) for number in range(len(since))]
        turns = dict(zip(since, in_turn if start in PARTITIONS else any_of, strict=True))
        yield [replace(each, partition=turns.get(each.event.event_id, each.partition)) for each in traffic]


def overtaken(sent: Sequence[Sent], order: Sequence[int]) -> set[str]:
    """The orders whose payment is read before they are, if the partitions are read one after the other. Pure."""
    read = sorted(sent, key=lambda each: order.index(each.partition))
    place = {(each.key, each.created): number for number, each in enumerate(read)}
    return {key for key, created in place if created and place.get((key, False), len(read)) < place[key, True]}


def _thrown_out(run: _Run) -> None:
    """Mails takes so long for one record that its group goes on without it; its commit is refused."""
    run.early()
    run.send()
    run.pay()
    m, group = run.morning, run.morning.groups[MAILS]
    run.mail([1])
    settings = {"group_id": group, "max_poll_records": BATCH, **members.SETTINGS}
    consumer = run.kafka.consumer(m.topic, name=MAILS, **settings)
    slow, mailed, send_mail = run.chance.randint(2, BATCH - 1), count(1), mail(m.databases[MAILS])

    def slowly(record: ConsumerRecord) -> None:
        send_mail(record)
        if next(mailed) == slow:
            run.kafka.evict(group)
            until(lambda: consumer.group_metadata().generation_id < 0, 60, "mails to learn that it was thrown out")

    run.worker(MAILS, consumer, slowly).run(until=reading.at_the_end(consumer))
    run.kafka.close_client(MAILS)


def _wide_redrive(run: _Run) -> None:
    """Payments does not know two methods of payment; the dead letters of one are redriven, to every group."""
    run.early()
    unknown = run.chance.sample(METHODS, 2)
    run.payments.methods = _all_but(*unknown)
    run.send()
    run.pay()
    run.mail()
    run.payments.methods = _all_but(unknown[1])
    run.redrive(addressed=False, error=f"KeyError: '{unknown[0]}'")
    run.pay()
    run.mail()


CAUSES: dict[str, Callable[[_Run], None]] = {
    "committed-first": _committed_first,
    "swallowed": _swallowed,
    "shared-group": _shared_group,
    "producer-rule": _producer_rule,
    "no-key": _no_key,
    "thrown-out": _thrown_out,
    "wide-redrive": _wide_redrive,
}
