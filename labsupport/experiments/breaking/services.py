"""The services of lessons 07 to 09 and 14: a lesson writes loop or handler, and the rest of the service is here.

Lesson 07 writes a whole service by hand: a consumer whose auto-commit is off, a loop that handles records and commits
them, and a handler that writes a row for each event.
"""

import contextlib
import functools
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from kafka.future import Future

from labsupport.broker.cluster import Cluster
from labsupport.delivery import dead_letter
from labsupport.delivery.moments import Kind, Moment
from labsupport.delivery.publish import publish
from labsupport.delivery.reading import READS, after, to_the_end
from labsupport.delivery.worker import Worker
from labsupport.errors import EventError, LabError, TransientError
from labsupport.experiments.breaking import faults, python_process, strategies
from labsupport.experiments.breaking.faults import At
from labsupport.experiments.watching import log, moment_file
from labsupport.shop import story
from labsupport.shop.event import Event
from labsupport.waiting import until

Handle = Callable[[ConsumerRecord], object]
Loop = Callable[[KafkaConsumer, Handle], object]

DELIVERED = "delivered"  # the point that a service passes with each record, before it handles it


# In a process of its own, which can be killed


def run_twice(
    kafka: Cluster,
    topic: str,
    group: str,
    database: Path,
    *,
    loop: Callable | None = None,
    handle: Callable | None = None,
    kill_at: str = "",
    nth: int = 1,
    **settings: Any,
) -> int:
    """Run the service until it ends or is killed, then once more to its end; returns how many records came twice.

    The first run has a process of its own, which is killed when it calls `at(kill_at)` the nth time. `loop(consumer,
    handle, at)` is called with a handler for records; by default it handles each record, then commits it.
    `handle(event, database, at)` writes the effect, by default one row. `settings` are the consumer's. Raises LabError
    as `faults.run` does.
    """
    arguments = (topic, group, database, loop, handle, settings)
    first = faults.run(kafka, _service, *arguments, kill_at=kill_at, nth=nth)
    with python_process.scratch_folder() as folder:
        _service(kafka, At(kafka, [], folder, "A"), *arguments)
        again = moment_file.read(folder / faults.MOMENTS_FILE)
    return len(_delivered(first.moments) & _delivered(again))


def _service(
    kafka: Cluster,
    at: At,
    topic: str,
    group: str,
    database: Path,
    loop: Callable | None,
    handle: Callable | None,
    settings: dict[str, Any],
) -> None:
    # A static member gets its partitions back at once: a restart need not wait for the session of the killed one.
    settings = READS | {"group_id": group, "group_instance_id": "A"} | settings
    consumer = kafka.consumer(topic, name="A", **settings)

    def handle_record(record: ConsumerRecord) -> None:
        at(DELIVERED, record)
        event = Event.decode(record.value)
        if handle:
            handle(event, connection, at)
        else:
            strategies.effect(event, connection)

    with contextlib.closing(consumer), contextlib.closing(sqlite3.connect(database)) as connection:
        if loop:
            loop(consumer, handle_record, at)
        else:
            strategies.process_then_commit(consumer, handle_record)


def _delivered(moments: Sequence[Moment]) -> set[tuple]:
    return {(moment.partitions, moment.offset) for moment in moments if moment.name == DELIVERED}


# In this process, where a cell can look at what they do


def publish_with_poison(kafka: Cluster, topic: str, events: Sequence[Event], at: int, poison: bytes) -> None:
    """Publish the events, with a record that is no event, of the value `poison`, at position `at`."""
    producer = kafka.producer(name="shop")
    publish(producer, topic, events[:at])
    producer.send(topic, key=b"ORD-123", value=poison).get(timeout=60)
    publish(producer, topic, events[at:])


def error_of(record: ConsumerRecord) -> EventError:
    """The error that decoding this record raises. Raises LabError if it is an event."""
    try:
        Event.decode(record.value)
    except EventError as error:
        return error
    raise LabError("This record is an event.", "it can be decoded", "take one that is none")


class Outage:
    """A backup locks the service's database until it `end`s or the service pauses; `moments` is what happened.

    Give a worker the `hook`, and the service the outage: `lab.run_loop(topic, loop, outage=outage)`.
    """

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self._backup: sqlite3.Connection | None = None

    @contextlib.contextmanager
    def during(self, database: Path) -> Iterator[None]:
        """Lock the database at the beginning of a `with`; release it at the end, if it is still locked."""
        self._backup = sqlite3.connect(database)
        self._backup.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            self.end()
            self._backup.close()

    def end(self) -> None:
        """Let others write again."""
        if self._backup:
            self._backup.rollback()

    def hook(self, moment: Moment) -> None:
        """Keep the moment; end the outage if a partition was paused."""
        self.moments.append(moment)
        if moment.kind is Kind.PAUSED:
            self.end()


class Busy:
    """A handler that fails `failures` times for the first record that it gets, and notes each attempt in `moments`."""

    def __init__(self, failures: int):
        self.failures = failures
        self.moments: list[Moment] = []

    def __call__(self, record: ConsumerRecord) -> None:
        """Raises TransientError."""
        first = not self.moments or self.moments[0].coordinates == (record.partition, record.offset)
        fails = first and len([each for each in self.moments if each.kind is Kind.FAILED]) < self.failures
        self.moments.append(Moment.of(Kind.FAILED if fails else Kind.HANDLED, "A", record))
        if fails:
            raise TransientError("the database is busy")

    @property
    def meanwhile(self) -> int:
        """The number of records of other partitions that were handled until the first record was."""
        first = self.moments[0].coordinates
        handled = [each.coordinates for each in self.moments if each.kind is Kind.HANDLED]
        return sum(partition != first[0] for partition, _ in handled[: handled.index(first)])


def succeeds(handle: Handle, record: ConsumerRecord) -> bool:
    """Call `handle(record)`; returns False if it raises TransientError."""
    try:
        handle(record)
    except TransientError:
        return False
    return True


def run_loop(
    kafka: Cluster,
    topic: str,
    group: str,
    database: Path,
    loop: Loop,
    handle: Handle | None = None,
    *,
    outage: Outage | None = None,
    **settings: Any,
) -> None:
    """Run `loop(consumer, handle)` in this process; `handle(record)` writes the event's row, unless you give another.

    Prints the class of an error that the database, Kafka or the lab raises, and of EventError: it ends the service. Any
    other error is one of the loop, and comes out. During an `outage` a locked database raises at once.
    """
    consumer = kafka.consumer(topic, name="A", **READS | {"group_id": group} | settings)
    with (
        contextlib.closing(consumer),
        contextlib.closing(sqlite3.connect(database, timeout=0 if outage else 5)) as connection,
        outage.during(database) if outage else contextlib.nullcontext(),
    ):
        try:
            loop(consumer, handle or functools.partial(_write_row, connection, outage))
        except (EventError, KafkaError, LabError, sqlite3.Error) as error:
            print(f"{loop.__name__} ended with {type(error).__name__}")


def _write_row(connection: sqlite3.Connection, outage: Outage | None, record: ConsumerRecord) -> None:
    event, failed = Event.decode(record.value), ""
    try:
        strategies.effect(event, connection)
    except sqlite3.Error as error:
        failed = type(error).__name__
        raise
    finally:
        if outage:
            outage.hook(Moment.of(Kind.STATEMENT, "A", record, name="INSERT", error=failed))


def sets_aside(
    kafka: Cluster,
    way: Callable[[KafkaConsumer, ConsumerRecord, Callable[[], Future]], object],
    errors: type[Exception] = EventError,
) -> Loop:
    """Return a loop that commits each record that is handled, and calls `way` for one whose handling raises `errors`.

    `way(consumer, record, send_letter)` commits the record; `send_letter()` sends its dead letter, and returns what
    `send` returns.
    """

    @functools.wraps(way)
    def loop(consumer: KafkaConsumer, handle: Handle) -> None:
        producer = kafka.producer(name="letters")

        def send_letter(record: ConsumerRecord, error: Exception) -> Future:
            letter = dead_letter.wrap(record, error, 1, consumer.config["group_id"])
            key, value, headers = letter.encode()
            return producer.send(dead_letter.topic_of(record.topic), value, key, headers)

        for record in to_the_end(consumer):
            try:
                handle(record)
            except errors as error:
                way(consumer, record, functools.partial(send_letter, record, error))
            else:
                consumer.commit(after(record))

    return loop


# In a thread, where a cell can look at it from outside


class Silence:
    """Something outside that does not answer: `wait()` returns after `end()`, and not before.

    `asked` is set once somebody waits.
    """

    def __init__(self) -> None:
        self.asked, self._over = threading.Event(), threading.Event()
        self.waiting: set[int] = set()  # the threads that wait

    def begin(self) -> None:
        """Answer nothing from now on."""
        self.asked.clear()
        self._over.clear()

    def end(self) -> None:
        """Answer everybody who waits."""
        self._over.set()

    def wait(self) -> None:
        """Wait for an answer that does not come."""
        self.waiting.add(threading.get_ident())
        self.asked.set()
        self._over.wait()
        self.waiting.discard(threading.get_ident())


@contextlib.contextmanager
def running(
    kafka: Cluster,
    topic: str,
    group: str,
    handle: Handle,
    *,
    hooks: Iterable[Callable[[Moment], None]] = (),
    silence: Silence | None = None,
    name: str = "A",
) -> Iterator[Worker]:
    """A worker of the new `group`, in a thread, for the body of a `with`; it commits after each record.

    At the end it finishes the record in hand, for which the `silence` ends, and leaves the group. An error that ended
    it is raised then.
    """
    kafka.delete_groups([group])
    silence = silence or Silence()
    silence.begin()
    consumer = kafka.consumer(topic, name=name, **READS | {"group_id": group, "max_poll_records": 1})
    worker = Worker(consumer, handle, hooks=hooks)
    try:
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(worker.run)
            try:
                yield worker
            finally:
                worker.stop()  # before the silence ends: no further record is handled
                silence.end()
        work.result()
    finally:
        kafka.close_client(name)


class AtRest(NamedTuple):
    """What `committed_at_rest` found: by group the number of records that it has committed, and what was seen."""

    committed: dict[str, int]
    seen: Any


def committed_at_rest(
    kafka: Cluster, topic: str, groups: Mapping[str, Handle], silence: Silence, look: Callable[[], Any]
) -> AtRest:
    """Run a worker for each new group with its handler; stop when each has done all or waits for `silence`.

    Somebody must wait for it, in a worker or elsewhere. The topic has one partition. Raises LabError after 30 s.
    """
    inside: dict[str, int] = {}  # the thread in each group's handler
    committed: dict[str, int] = {}
    (end,) = log.bounds(kafka, topic)[1].values()

    def noted(group: str, record: ConsumerRecord) -> None:
        inside[group] = threading.get_ident()
        groups[group](record)

    def at_rest() -> bool:
        stuck = {group for group in groups if inside.get(group) in silence.waiting}
        for group in groups:
            committed[group] = log.committed(kafka, topic, group).get(0, 0)
        return bool(silence.waiting) and all(committed[group] == end or group in stuck for group in groups)

    with contextlib.ExitStack() as stack:
        for group in groups:
            handle = functools.partial(noted, group)
            stack.enter_context(running(kafka, topic, group, handle, silence=silence, name=group))
        until(at_rest, 60, "the workers to handle all, or to wait")
        return AtRest(committed, look())


# A producer


def take_orders(kafka: Cluster, topic: str, database: Path, way: Callable, kill_at: str, nth: int) -> list[int]:
    """Take orders until killed at the nth `at(kill_at)`; returns the numbers of rows and of published events.

    For each order it calls `way(event, write_row, send, at)`; `write_row(event)` changes the state, and `send(event)`
    waits for the acknowledgement.
    """
    faults.run(kafka, _takes_orders, topic, database, way, kill_at=kill_at, nth=nth)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        ((rows,),) = connection.execute("SELECT count(*) FROM effects")
    return [rows, len(log.read(kafka, topic).valid)]


def _takes_orders(kafka: Cluster, at: At, topic: str, database: Path, way: Callable) -> None:
    connection, producer = sqlite3.connect(database), kafka.producer(name="orders")
    for event in story.events(12):
        way(
            event,
            functools.partial(strategies.effect, database=connection),
            lambda event: publish(producer, topic, [event]),
            at,
        )
