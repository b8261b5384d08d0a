"""The crashes of services that change a state and publish an event: ways to do both × where the process dies.

A trial: a service takes orders, and a relay sends what waits. The process really dies, at the nth time that it passes a
point, and is started again; the caller asks for all orders again. Then it is counted from the database, the topic, and
a reader with an inbox. `python3 lab.py crashlab --outbox` runs hundreds of trials.
"""

import contextlib
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kafka import KafkaProducer, TopicPartition

from labsupport import transactions
from labsupport.broker.cluster import Cluster
from labsupport.console import progress
from labsupport.delivery import inbox, orders, outbox, reading
from labsupport.errors import LabError
from labsupport.experiments.breaking import crashes, faults, forkserver, python_process, results_file
from labsupport.experiments.breaking.crashes import Matrix, Result
from labsupport.experiments.breaking.faults import At, Fault
from labsupport.experiments.breaking.trial import DATABASE, TrialRun, run_processes
from labsupport.experiments.breaking.trial_runner import AT_ONCE
from labsupport.files import digest
from labsupport.shop import story
from labsupport.shop.event import Event
from labsupport.waiting import until

EVENTS = 12  # of each trial
SECONDS = 60.0  # one process of a trial may take as long
CHANGING, CHANGED, SENDING, SENT, MARKED = "changing", "changed", "sending", "sent", "marked"
INSIDE = "between change and event"

# The faults of each crash point, by the nth time that the process passes it.
POINTS: dict[str, Callable[[int], Fault]] = {
    "before the change": partial(faults.crash, CHANGING),
    "between change and event": partial(faults.crash, INSIDE),
    "after the change": partial(faults.crash, CHANGED),
    "before sending": partial(faults.crash, SENDING),
    "after sending": partial(faults.crash, SENT),
    "after marking": partial(faults.crash, MARKED),
    "two relays": partial(faults.freeze, SENDING),  # while one is frozen, another one starts
}


@dataclass(frozen=True)
class Service:
    """What a way has at hand: the service's database, `send(event)`, and `at(point)`."""

    database: sqlite3.Connection
    producer: KafkaProducer
    topic: str
    at: At

    def send(self, event: Event) -> None:
        """Publish the event and wait for the acknowledgement."""
        self.at(SENDING)
        sending = self.producer.send(self.topic, event.encode(), story.key_of(event), event.headers())
        sending.get(timeout=60)
        self.at(SENT)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """A Kafka transaction around what is sent in the body, if the way has a transactional producer."""
        self.producer.begin_transaction()
        yield
        self.producer.commit_transaction()

    def change(self, event: Event, *, inside: Callable[[], object] = lambda: None) -> None:
        """Change the state, and whatever `inside` writes, in one transaction."""
        self.at(CHANGING)
        with self.database:
            orders.effect(self.database, event)
            inside()
        self.at(CHANGED)


def state_then_event(service: Service, event: Event) -> None:
    """Change the state, then publish."""
    service.change(event)
    service.send(event)


def event_then_state(service: Service, event: Event) -> None:
    """Publish, then change the state."""
    service.send(event)
    service.change(event)


def both_in_a_transaction(service: Service, event: Event) -> None:
    """Change the state and publish, in a transaction of Kafka."""
    with service.transaction():
        service.change(event)
        service.send(event)


def into_the_outbox(service: Service, event: Event) -> None:
    """Change the state and write the event in one transaction."""

    def write() -> None:
        service.at(INSIDE)
        outbox.add(service.database, service.topic, event)

    service.change(event, inside=write)


def nothing(_: Service) -> None:
    """There is no outbox."""


def mark_first(service: Service) -> None:
    """A relay that marks a row and then sends it."""
    while row := outbox._next(service.database):
        with service.database:
            service.database.execute("UPDATE outbox SET sent = 1 WHERE position = ?", (row.position,))
        service.at(MARKED)
        service.at(SENDING)
        outbox._send(service.producer, row)
        service.at(SENT)


def send_first(service: Service) -> None:
    """The lab's relay: send a row and then mark it."""
    outbox.relay(service.database, service.producer, service.at)


@dataclass(frozen=True)
class Way:
    """A named way to change a state and publish, for each order, and a relay.

    `inbox`: who reads the topic has one. `transactional`: the producer is.
    """

    name: str
    take: Callable[[Service, Event], None]
    relay: Callable[[Service], None] = nothing
    inbox: bool = False
    transactional: bool = False


WAYS = (
    Way("state, then event", state_then_event),
    Way("event, then state", event_then_state),
    Way("both in a Kafka transaction", both_in_a_transaction, transactional=True),
    Way("outbox, marked before sent", into_the_outbox, mark_first),
    Way("outbox", into_the_outbox, send_first),
    Way("outbox, read with an inbox", into_the_outbox, send_first, inbox=True),
)


def run(
    kafka: Cluster,
    ways: Sequence[Way] = WAYS,
    points: Iterable[str] = tuple(POINTS),
    seeds: int = 1,
    *,
    file: Path | None = None,
) -> Matrix:
    """Run each way at each point, once for each seed from 1; the seed selects at which order it strikes.

    `lost` counts orders without a state or without an event; `twice` orders with two states, or with two events in the
    topic, or if who reads it has an inbox, with two effects there; `redelivered` counts second records in the topic.
    With `file`, as in `crashes.run`. Raises LabError if a point is unknown or a trial does not end.
    """
    points = list(points)
    if unknown := [point for point in points if point not in POINTS]:
        raise LabError(f"There is no crash point {unknown[0]!r}.", f"there are: {', '.join(POINTS)}")
    known = {_key(each): each for each in (crashes.read(file) if file else ())}
    wanted = [Trial(way, point, seed) for seed in range(1, seeds + 1) for way in ways for point in points]
    missing = [each for each in wanted if each.key not in known]
    with _Trials(kafka) as trials, contextlib.closing(trials.run(missing)) as results:
        for result in progress("Trials", len(missing), "trial", over=results):
            known[_key(result)] = result
            if file:
                results_file.append(file, [result])
    return Matrix(tuple(known[each.key] for each in wanted))


@dataclass(frozen=True)
class Trial:
    """A way, the point where its process dies, and the seed that selects the order."""

    way: Way
    point: str
    seed: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What identifies its result."""
        return self.way.name, self.point, self.seed

    @property
    def nth(self) -> int:
        """At which order the fault strikes; the same for a seed on every machine."""
        return 1 + int(digest(self.way.name, self.point, str(self.seed)), 16) % EVENTS


def _key(result: Result) -> tuple[str, str, int]:
    return result.strategy, result.point, result.seed


class _Trials:
    """Runs trials AT_ONCE at a time; one topic for all, and a reader that remembers what it has read of it."""

    def __init__(self, kafka: Cluster):
        self.kafka = kafka
        self.records: Counter[str] = Counter()  # by event id, what is in the topic

    def __enter__(self) -> "_Trials":
        with contextlib.ExitStack() as stack:
            self.topic = self.kafka.create_topic(f"{getattr(self.kafka, 'namespace', self.kafka.prefix + '96-')}outbox")
            stack.callback(self.kafka.delete_topics, [self.topic])
            self.reader = self.kafka.consumer(name="outbox-reader", **reading.READS)
            stack.callback(self.kafka.close_client, "outbox-reader")
            self.place = TopicPartition(self.topic, 0)
            self.reader.assign([self.place])
            self.ledger = stack.enter_context(closing(orders.database(":memory:")))
            self.forkserver = forkserver.shared()
            self.folder = stack.enter_context(python_process.scratch_folder())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, trials: Sequence[Trial]) -> Generator[Result, None, None]:
        """Run the trials; yield their results in order. Close the iterator to stop early."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                running = [(trial, pool.submit(self._run, trial, number)) for number, trial in enumerate(trials, 1)]
                for number, (trial, future) in enumerate(running, 1):
                    yield self._result(trial, number, future.result())
            finally:
                pool.shutdown(cancel_futures=True)  # trials that are running finish first

    def _run(self, trial: Trial, number: int) -> TrialRun:
        """In a thread: nothing here uses a Kafka client, which is not thread-safe."""
        folder = self.folder / str(number)
        folder.mkdir()
        arguments = (self.topic, str(folder / DATABASE), trial.way, number)
        fault, start = POINTS[trial.point](trial.nth), self.forkserver.start
        return run_processes(
            self.kafka, serve, arguments, trial.way.name, folder, [fault], start=start, seconds=SECONDS
        )

    def _result(self, trial: Trial, number: int, run: TrialRun) -> Result:
        if run.problem:
            raise LabError(f"The trial did not end: {', '.join(map(str, trial.key))}.", run.problem)
        self._read()
        states = orders.effects(self.folder / str(number) / DATABASE)
        shutil.rmtree(self.folder / str(number))
        counts = _effects(self.ledger) if trial.way.inbox else self.records
        ids = [event.event_id for event in story.events(EVENTS, number)]
        return Result(
            *trial.key,
            trial.nth,
            run.passed(POINTS[trial.point](1).point) >= trial.nth,
            sum(not (states[each] and self.records[each]) for each in ids),
            sum(counts[each] > 1 or states[each] > 1 for each in ids),
            sum(max(0, self.records[each] - 1) for each in ids),
        )

    def _read(self) -> None:
        """Read on to the present end of the topic, as a service with an inbox.

        Another trial's open transaction holds it up until that ends, too.
        """
        end = transactions.bounds(self.reader, [self.place])[self.place].end

        def at_the_end() -> bool:
            for records in self.reader.poll(timeout_ms=200).values():
                for record in records:
                    event = Event.decode(record.value)
                    self.records[event.event_id] += 1
                    inbox.once(self.ledger, event.event_id, partial(orders.effect, self.ledger, event))
            return bool(self.reader.position(self.place, timeout_ms=5_000) >= end)

        until(at_the_end, SECONDS, f"the end of {self.topic}", every=0)


def _effects(ledger: sqlite3.Connection) -> Counter[str]:
    return Counter(event_id for (event_id,) in ledger.execute("SELECT event_id FROM effects"))


def serve(kafka: Cluster, at: At, topic: str, path: str, way: Way, seed: int) -> None:
    """In the child process: take the orders of this seed that are not known yet, and relay after each."""
    with closing(orders.database(path)) as database:
        outbox.create(database)
        service = Service(database, _producer(kafka, f"{topic}-{seed}" if way.transactional else None), topic, at)
        for event in story.events(EVENTS, seed):
            way.relay(service)
            if not database.execute("SELECT 1 FROM effects WHERE event_id = ?", (event.event_id,)).fetchone():
                way.take(service, event)
        way.relay(service)
    if way.transactional:
        _producer(kafka, f"{topic}-{seed}")  # which waits until the last transaction can be seen


def _producer(kafka: Cluster, transactional_id: str | None) -> KafkaProducer:
    if not transactional_id:
        return kafka.producer(name="service", **outbox.PRODUCER)
    settings = outbox.PRODUCER | {"transactional_id": transactional_id, "max_block_ms": 60_000}
    producer = kafka.producer(name="service", **settings)
    producer.init_transactions()
    return producer
