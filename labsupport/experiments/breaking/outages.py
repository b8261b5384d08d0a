"""What a producer is told, and what is in the log, while brokers are frozen and killed. Lesson 18."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.future import Future

from labsupport.broker.cluster import Cluster
from labsupport.broker.server_properties import STEADY
from labsupport.delivery import reading
from labsupport.errors import LabError
from labsupport.experiments.breaking.broker_deaths import FETCH_WAIT, PATIENCE, outcome
from labsupport.experiments.watching import replicas
from labsupport.experiments.watching.replicas import State
from labsupport.waiting import until

if TYPE_CHECKING:
    import pandas

# A frozen follower's last fetch ends soon, so that nothing new is in its socket when it wakes.
BROKERS = STEADY | {"replica_fetch_wait_max_ms": f"{FETCH_WAIT * 1000:.0f}"}
ELECTED, GAVE_UP = "a new leader", "the client gave up the old leader"
ATTEMPTS = 5  # to write before a session ends


def freeze(kafka: Cluster, *numbers: int) -> None:
    """Freeze these followers while nothing is on its way to them: what is sent from now on, only the leader has."""
    for number in numbers:
        kafka.broker(number).pause()
    time.sleep(5 * FETCH_WAIT)  # their last fetch is answered, without a record


def when(kafka: Cluster, topic: str, met: Callable[[State], object]) -> State:
    """Wait until all running brokers name a state of the topic's partition 0 for which `met(state)` holds; return it.

    Raises LabError after PATIENCE seconds.
    """
    found = until(
        lambda: [each for each in replicas.agreed(kafka, topic)[:1] if met(each)], PATIENCE, f"{topic} to be so"
    )
    return found[0]


def values(kafka: Cluster, topic: str) -> list[str]:
    """What a consumer finds in the topic's partition 0 now, in the order of offsets."""
    consumer = kafka.consumer(name="values")
    try:
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek_to_beginning()
        return [record.value.decode() for record in reading.to_the_end(consumer, patience=PATIENCE)]
    finally:
        kafka.close_client("values")


class Sender:
    """A producer of one topic that knows where to send, and what became of each record.

    `settings` are the producer's. With `once`, it sends a record once: what it is told is the broker's answer. By
    default it waits for an answer as long as the lab does, whatever the speed of the machine.
    """

    def __init__(self, kafka: Cluster, topic: str, *, once: bool = False, name: str = "", **settings: Any):
        attempts: dict[str, Any] = {"delivery_timeout_ms": 2000 * PATIENCE}
        if once:
            attempts |= {"retries": 0, "enable_idempotence": False, "request_timeout_ms": 1000 * PATIENCE}
        if settings.get("acks", "all") != "all":
            attempts["enable_idempotence"] = False
        self.kafka, self.topic = kafka, topic
        self._producer = kafka.producer(name=name or f"sender-{topic}", **attempts | settings)
        # Now; later it might ask a frozen broker for the leader, or for its producer id.
        self._producer.partitions_for(topic)
        state = self._producer._transaction_manager
        until(lambda: state is None or state.has_producer_id(), PATIENCE, "the producer to have an id")
        self._sent: dict[str, Future] = {}

    def send(self, *records: str) -> None:
        """Send these values, each another one, and do not wait."""
        for value in records:
            self._sent[value] = self._producer.send(self.topic, value.encode(), partition=0)

    def wait(self) -> "Sender":
        """Wait until the outcome of everything sent is known; returns itself."""
        until(lambda: all(each.is_done for each in self._sent.values()), PATIENCE, "the answer to each record")
        return self

    def write(self, *records: str) -> "Sender":
        """Send these values and wait for their outcomes; returns itself."""
        self.send(*records)
        return self.wait()

    def write_behind(self, follower: int, *records: str) -> "Sender":
        """Freeze this follower and write these values while it counts as in sync; returns itself.

        On a machine so slow that its session ended first, they are refused: then it is woken, and all is done again.
        Raises LabError if that happens ATTEMPTS times.
        """
        isr = replicas.read(self.kafka, self.topic)[0].isr
        for _ in range(ATTEMPTS):
            freeze(self.kafka, follower)
            self.write(*records)
            if "refused" not in [self.told[each] for each in records]:
                return self
            self.kafka.broker(follower).resume()
            when(self.kafka, self.topic, lambda now: now.isr == isr)
        raise LabError(
            f"Could not write while broker {follower} was frozen and in sync.",
            f"its session ended first, {ATTEMPTS} times: this machine stands still for seconds",
            "close other programs, then run the episode from its first cell",
        )

    def wait_on_disk(self, broker: int, *records: str) -> None:
        """Wait until the leader `broker` has these in its log, whether it has answered or not.

        Or until a replica is out of sync: on a machine so slow that frozen followers' sessions ended first, the leader
        refuses the records for now, and the producer sends them again.
        """
        wanted = {each.encode() for each in records}

        def taken() -> bool:
            there = wanted <= {*replicas.on_disk(self.kafka.broker(broker), self.topic)}
            return there or any(not each.whole for each in replicas.agreed(self.kafka, self.topic))

        until(taken, PATIENCE, f"broker {broker} to have {', '.join(records)}")

    @property
    def told(self) -> dict[str, str]:
        """What the producer has been told of each record: "acknowledged", "refused", "unknown" or "nothing yet"."""
        return {
            value: outcome(future.exception) if future.is_done else "nothing yet"
            for value, future in self._sent.items()
        }

    def table(self, **more: dict[str, str]) -> "pandas.DataFrame":
        """A row for each record: what was told, and how often a consumer finds it in the topic now.

        `more` are columns in front of these, such as what had been told earlier.
        """
        import pandas

        found = values(self.kafka, self.topic)
        columns = {name.replace("_", " "): pandas.Series(column) for name, column in more.items()}
        columns["told"] = pandas.Series(self.told)
        columns["in the log"] = pandas.Series({value: found.count(value) for value in self._sent})
        return pandas.DataFrame(columns).rename_axis("record")


@dataclass
class Pause:
    """The longest time without an acknowledgement, in seconds.

    `connecting`: how long the client waits for a connection, in seconds.
    """

    what: str
    connecting: float
    begin: float = 0.0
    longest: float = 0.0
    failed: int = 0
    sent: int = 0
    acks: list[float] = field(default_factory=list)

    @property
    def ended_by(self) -> str:
        """What ended it: GAVE_UP if the client had waited for a whole time-out to connect, otherwise ELECTED."""
        return GAVE_UP if self.longest >= self.connecting else ELECTED


@contextlib.contextmanager
def pause_of_writes(
    kafka: Cluster, topic: str, what: str, *, when_elected: Callable[[], object] = lambda: None, **settings: Any
) -> Iterator[Pause]:
    """Send to `topic` twenty times a second, and break its leader in the body of the `with`.

    At the end of it, another broker leads the topic and has acknowledged a record; `when_elected` is called between
    the two. Gives what `what` did to writes. `settings` are the producer's.
    """
    (state,) = replicas.read(kafka, topic)
    producer = kafka.producer(name=f"pause-{topic}", **settings)
    connecting = producer._sender._client._manager.config["socket_connection_setup_timeout_ms"]
    pause, ended = Pause(what, connecting / 1000), threading.Event()

    def acknowledged(_: object) -> None:
        pause.acks.append(time.monotonic())

    def failed(_: object) -> None:
        pause.failed += 1

    def go_on() -> None:
        while not ended.wait(0.05):
            with contextlib.suppress(KafkaError):
                producer.send(topic, b"x", partition=0).add_callback(acknowledged).add_errback(failed)
                pause.sent += 1

    thread = threading.Thread(target=go_on, name="lab-writes", daemon=True)
    thread.start()
    try:
        until(lambda: len(pause.acks) > 5, PATIENCE, "the first acknowledgements")
        pause.begin = time.monotonic()
        yield pause
        until(lambda: _led_by_another(kafka, topic, state.leader), PATIENCE, "a new leader", every=0.05)
        when_elected()
        after = len(pause.acks)
        until(lambda: len(pause.acks) > after + 5, PATIENCE, "acknowledgements from the new leader")
    finally:
        ended.set()
        thread.join()
    gaps = zip(pause.acks, pause.acks[1:], strict=False)
    pause.longest = max(then - at for at, then in gaps if then > pause.begin)


def _led_by_another(kafka: Cluster, topic: str, before: int | None) -> bool:
    states = replicas.agreed(kafka, topic)
    return bool(states) and states[0].leader not in (None, before)


class Readers:
    """Two members, A and B, of a new group; for the body of a `with` they share the two partitions of `topic`.

    Each polls in a thread of its own: polled in turn, kafka-python 3.0.12 can join for ever, because a join that is
    answered between two polls starts again.
    """

    def __init__(self, kafka: Cluster, topic: str, group: str):
        settings = reading.READS | {"group_id": group, "session_timeout_ms": 30_000}
        self.kafka, self.group, self.got = kafka, group, list[str]()
        self._members = {name: kafka.consumer(topic, name=name, **settings) for name in "AB"}
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._poll, args=[member], name="lab-reader", daemon=True)
            for member in self._members.values()
        ]

    def __enter__(self) -> "Readers":
        """Wait until each has a partition."""
        for thread in self._threads:
            thread.start()
        try:
            until(self._settled, PATIENCE, "both to have a partition")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    @property
    def coordinator(self) -> int:
        """The broker that keeps the group."""
        return int(replicas.read(self.kafka, "__consumer_offsets")[0].leader or 0)

    @property
    def partitions(self) -> dict[str, list[int]]:
        """The partitions of each member, as it knows them."""
        return {name: sorted(each.partition for each in member.assignment()) for name, member in self._members.items()}

    @property
    def generation(self) -> int:
        """How often the group has rebalanced, as its members know it."""
        return int(max(member.group_metadata().generation_id for member in self._members.values()))

    def until_got(self, count: int) -> None:
        """Wait until so many records have come."""
        until(lambda: len(self.got) >= count, PATIENCE, f"{count} records")

    def _poll(self, member: KafkaConsumer) -> None:
        while not self._ended.is_set():
            for records in member.poll(timeout_ms=100).values():
                self.got += [record.value.decode() for record in records]

    def _settled(self) -> bool:
        generations = {member.group_metadata().generation_id for member in self._members.values()}
        shared = sorted(self.partitions.values()) == [[0], [1]]
        return shared and len(generations) == 1 and self.kafka.describe(self.group).stable
