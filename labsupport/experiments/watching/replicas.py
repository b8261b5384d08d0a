"""The replicas of a topic over time: leader, in-sync replicas (ISR) and eligible leader replicas (ELR). Lesson 18.

A state is what the brokers tell a client. Each is asked at its own address, because an admin client that has lost a
broker may ask another one, or none. A frozen broker is not asked; one that has just been resumed may tell what it knew
before it was frozen, so a state counts when all running brokers agree on it.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kafka.errors import LeaderNotAvailableError, UnknownTopicOrPartitionError, for_code
from kafka.protocol.admin import DescribeTopicPartitionsRequest
from kafka.record import MemoryRecords

from labsupport.broker.channel import exchange
from labsupport.broker.cluster import Cluster
from labsupport.broker.embedded import EmbeddedBroker
from labsupport.connection import PLAIN, Connection
from labsupport.errors import LabError, NotKafkaError
from labsupport.ports import HOST
from labsupport.waiting import until

if TYPE_CHECKING:
    import pandas

EVERY = 0.2  # seconds from one sample to the next

# What a broker can be for a partition, best first.
LEADER, IN_SYNC, ELIGIBLE, OUT = "leader", "in sync", "eligible leader", "out of sync"


@dataclass(frozen=True)
class State:
    """The replicas of one partition; brokers by their numbers. `leader` is None if there is none: it is offline.

    `elr`: out of the ISR, but known to have every committed record, so they may lead (KIP-966). `last_known_elr`: those
    that were so until they came back from an unclean shutdown.
    """

    partition: int
    leader: int | None
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    elr: tuple[int, ...] = ()
    last_known_elr: tuple[int, ...] = ()

    def role(self, broker: int) -> str:
        """What the broker is for this partition: LEADER, IN_SYNC, ELIGIBLE or OUT."""
        for role, those in ((LEADER, (self.leader,)), (IN_SYNC, self.isr), (ELIGIBLE, self.elr)):
            if broker in those:
                return role
        return OUT

    @property
    def whole(self) -> bool:
        """Whether it has a leader, and all its replicas are in sync."""
        return self.leader is not None and set(self.isr) == set(self.replicas)


@dataclass(frozen=True)
class Sample:
    """A state that was seen `at` seconds after the first one."""

    at: float
    state: State


@dataclass(frozen=True)
class Span:
    """The time, in seconds after the first sample, in which `broker` had this role for a partition."""

    broker: int
    role: str
    begin: float
    end: float


@dataclass(frozen=True)
class History:
    """What was seen of a topic's replicas: samples, in order of time, and when (s) the experiment did what."""

    samples: tuple[Sample, ...]
    marks: dict[str, float] = field(default_factory=dict)

    def of(self, partition: int) -> tuple[Sample, ...]:
        """The samples of one partition."""
        return tuple(each for each in self.samples if each.state.partition == partition)

    def spans(self, partition: int = 0) -> tuple[Span, ...]:
        """What each replica of the partition was when, ordered by broker and time, until the last sample."""
        samples = self.of(partition)
        found: list[Span] = []
        for broker in samples[0].state.replicas if samples else ():
            roles = [(each.at, each.state.role(broker)) for each in samples]
            changes = [each for each, before in zip(roles, [(0.0, ""), *roles], strict=False) if each[1] != before[1]]
            ends = [at for at, _ in changes[1:]] + [roles[-1][0]]
            found += [Span(broker, role, begin, end) for (begin, role), end in zip(changes, ends, strict=True)]
        return tuple(found)

    @property
    def table(self) -> "pandas.DataFrame":
        """A row for each mark and partition: leader, replicas, ISR, ELR and last known ELR when it was made."""
        import pandas  # imported here, because it is slower to import than the rest of a lesson

        rows = {
            (what, each.state.partition): _row(each.state)
            for what, at in self.marks.items()
            for each in self.samples
            if each.at == at
        }
        frame = pandas.DataFrame(list(rows.values()), columns=["leader", "replicas", "ISR", "ELR", "last known ELR"])
        frame.index = pandas.MultiIndex.from_tuples(rows, names=["after", "partition"])
        return frame


def _row(state: State) -> list[str]:
    lists = (state.replicas, state.isr, state.elr, state.last_known_elr)
    return [str(state.leader or "–"), *(" ".join(map(str, each)) or "–" for each in lists)]


def ask(
    address: tuple[str, int], topic: str, timeout: float = 2.0, connection: Connection = PLAIN
) -> tuple[State, ...]:
    """Ask one broker for the replicas of a topic of at most 2,000 partitions, ordered by partition.

    Raises OSError (it does not answer within `timeout` seconds), NotKafkaError, or the broker's error, such as
    UnknownTopicOrPartitionError of a broker that has not heard of the topic yet.
    """
    wanted = DescribeTopicPartitionsRequest.TopicRequest(name=topic)
    answer = exchange(*address, DescribeTopicPartitionsRequest[0](topics=[wanted], cursor=None), timeout, connection)
    (found,) = answer.topics
    if found.error_code:
        raise for_code(found.error_code)(topic)
    return tuple(
        State(
            each.partition_index,
            each.leader_id if each.leader_id >= 0 else None,
            tuple(each.replica_nodes),
            tuple(sorted(each.isr_nodes)),
            tuple(sorted(each.eligible_leader_replicas or ())),
            tuple(sorted(each.last_known_elr or ())),
        )
        for each in sorted(found.partitions, key=lambda each: each.partition_index)
    )


def read(kafka: Cluster, topic: str, timeout: float = 30) -> tuple[State, ...]:
    """Ask all running brokers for the replicas of `topic` until they agree; ordered by partition.

    Raises LabError, which quotes them, if they do not agree within `timeout` seconds, or if none runs.
    """
    try:
        return until(lambda: agreed(kafka, topic), timeout, f"the brokers to agree about the replicas of {topic}")
    except LabError as error:
        said = "\n".join(
            f"{host}:{port}: {_ask(kafka.connection, host, port, topic)}" for host, port in _addresses(kafka)
        )
        raise LabError(error.tried, said, "is the topic's name right?") from None


def agreed(kafka: Cluster, topic: str) -> tuple[State, ...]:
    """What all running brokers say now; nothing if one does not answer, or says something else."""
    said = {_ask(kafka.connection, *address, topic) for address in _addresses(kafka)}
    (first, *others) = said
    return first if isinstance(first, tuple) and not others else ()


def _ask(connection: Connection, host: str, port: int, topic: str) -> tuple[State, ...] | str:
    """Return what this broker says, or why it says nothing."""
    try:
        return ask((host, port), topic, connection=connection)
    except (OSError, NotKafkaError, UnknownTopicOrPartitionError, LeaderNotAvailableError) as error:
        return f"{type(error).__name__}: {error}"


def _addresses(kafka: Cluster) -> list[tuple[str, int]]:
    if kafka.embedded is None:
        return kafka.connection.addresses
    running = [(HOST, broker.port) for broker in kafka.embedded.brokers if broker.state == "running"]
    if not running:
        raise LabError("No broker can be asked for the replicas.", "none of them runs", "start one: broker(1).start()")
    return running


class Watch:
    """Samples of the replicas of `topic`, taken about five times a second and at each `mark`."""

    def __init__(self, kafka: Cluster, topic: str):
        self.kafka, self.topic = kafka, topic
        self._samples: list[Sample] = []
        self._marks: dict[str, float] = {}
        self._begun = 0.0
        self._lock = threading.Lock()  # one sample at a time

    @property
    def history(self) -> History:
        """All that was seen so far."""
        return History(tuple(self._samples), dict(self._marks))

    @property
    def table(self) -> "pandas.DataFrame":
        """A row for each mark and partition: leader, replicas, ISR, ELR and last known ELR when it was made."""
        return self.history.table

    def now(self) -> tuple[State, ...]:
        """Take a sample and return it, a state of each partition. Raises LabError as `read` does."""
        return self._keep(read(self.kafka, self.topic))[1]

    def mark(self, what: str) -> tuple[State, ...]:
        """Take a sample, and remember that the experiment had just done this; returns it as `now` does."""
        self._marks[what], states = self._keep(read(self.kafka, self.topic))
        return states

    def until(
        self, condition: Callable[[State], object], what: str, *, partition: int = 0, timeout: float = 120
    ) -> State:
        """Take samples until `condition(state)` of this partition is true, mark it as `what`, and return the state.

        Raises LabError, which says what was seen last, after `timeout` seconds.
        """
        last: list[State] = []

        def met() -> tuple[State, ...]:
            states = agreed(self.kafka, self.topic)
            last[:] = [each for each in states if each.partition == partition] or last
            return states if states and condition(states[partition]) else ()

        try:
            states = until(met, timeout, what, every=EVERY / 4)
        except LabError as error:
            seen = f"last seen: {last[0]}" if last else "the brokers did not agree"
            raise LabError(error.tried, seen, error.next_step) from None
        self._marks[what], _ = self._keep(states)
        return states[partition]

    def _keep(self, states: tuple[State, ...]) -> tuple[float, tuple[State, ...]]:
        with self._lock:
            now = time.monotonic()
            self._begun = self._begun or now
            at = round(now - self._begun, 3)
            self._samples += [Sample(at, each) for each in states]
            return at, states

    def _go_on(self, ended: threading.Event) -> None:
        while not ended.wait(EVERY):
            with contextlib.suppress(LabError):
                if states := agreed(self.kafka, self.topic):
                    self._keep(states)


@contextlib.contextmanager
def watching(kafka: Cluster, topic: str) -> Iterator[Watch]:
    """Watch the replicas of `topic` for the body of a `with`. While running brokers disagree, there is no sample."""
    watch, ended = Watch(kafka, topic), threading.Event()
    watch.now()
    thread = threading.Thread(target=watch._go_on, args=[ended], name="lab-replicas", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join()


def on_disk(broker: EmbeddedBroker, topic: str, partition: int = 0) -> list[bytes]:
    """The values in this broker's own log of the partition, as its files have them, whether it runs or not.

    No consumer sees a record here that is not committed. A value that cannot be read yet is left out.
    """
    values: list[bytes] = []
    for segment in sorted((broker.folder / "data" / f"{topic}-{partition}").glob("*.log")):
        batches = MemoryRecords(segment.read_bytes())
        while batches.has_next():
            batch = batches.next_batch()
            if not getattr(batch, "is_control_batch", False):
                values += [bytes(record.value or b"") for record in batch]
    return values
