"""Read to the end, pause and resume: the poll loop that lesson 04 writes by hand."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from weakref import WeakKeyDictionary

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

from labsupport import kafka_fixes, transactions
from labsupport.console import note, progress
from labsupport.delivery.dead_letter import first_coordinates
from labsupport.errors import LabError
from labsupport.kafka_fixes import ask_for_topics, repaired
from labsupport.shop.event import id_in
from labsupport.transactions import READ_COMMITTED
from labsupport.waiting import until

# The settings of a service's consumer: it misses nothing, commits what it has handled, not what it was given, and gets
# no record of a transaction that was aborted or is open.
READS = {"auto_offset_reset": "earliest", "enable_auto_commit": False, "isolation_level": READ_COMMITTED}

# By consumer, until when (monotonic) partitions wait on purpose, so that they do not count as stuck.
_WAITS: WeakKeyDictionary[KafkaConsumer, dict[TopicPartition, float]] = WeakKeyDictionary()


def require_no_auto_commit(consumer: KafkaConsumer, who: str, *, group: bool = True) -> None:
    """Raise LabError if the consumer commits by itself; `who`, such as "A worker", decides what is committed.

    With `group` the consumer must have one. Everything in the lab that reads and commits checks this before its first
    poll.
    """
    name = consumer.config["group_id"]
    if consumer._closed:
        raise LabError(f"{who} cannot read with this consumer.", "it was closed", "make a new one")
    if name is None and group:
        raise LabError(
            f"{who} commits what is done, for a group.",
            "this consumer has none",
            "make it with group_id=…, and with enable_auto_commit=False",
        )
    if name is not None and consumer.config["enable_auto_commit"]:
        raise LabError(
            f"{who} decides what is committed, and this consumer commits by itself.",
            f"its auto-commit is on, as it is by default: what a poll returned counts as done for {name}, and is lost\n"
            "if processing it fails",
            "make it with enable_auto_commit=False" + ("" if group else ", or without group_id"),
        )


def join(consumer: KafkaConsumer, deadline: float = 60.0) -> dict[TopicPartition, list[ConsumerRecord]]:
    """Poll until the consumer's group has assigned partitions to it; return the records that the last poll brought.

    How many polls that takes depends on the machine. Raises LabError after `deadline` seconds, such as when other
    members have all partitions.
    """
    ask_for_topics(repaired(consumer), *(consumer.subscription() or ()))
    came: dict[TopicPartition, list[ConsumerRecord]] = {}

    def joined() -> bool:
        came.update(consumer.poll(timeout_ms=100))
        return bool(consumer.assignment())

    until(joined, deadline, f"{consumer.config['client_id']} to be assigned partitions", every=0)
    return came


def to_the_end(consumer: KafkaConsumer, patience: float = 10.0) -> Iterator[ConsumerRecord]:
    """Yield the records of the consumer's partitions, up to their ends at the time of assignment.

    With `isolation_level="read_committed"` a partition ends where an open transaction begins; a note says what waits
    behind that. Commits nothing. Raises LabError when nothing has moved for `patience` seconds: no partition was
    assigned, or Kafka does not answer.
    """
    with _Ends(consumer, patience) as ends:
        while not ends.reached():
            for records in consumer.poll(timeout_ms=200).values():
                yield from records


def at_the_end(consumer: KafkaConsumer, patience: float = 10.0) -> Callable[[], bool]:
    """The same end as a condition to check between polls; it raises as `to_the_end` does."""
    return _Ends(consumer, patience).reached


def after(record: ConsumerRecord) -> dict[TopicPartition, OffsetAndMetadata]:
    """What to commit once this record and all earlier ones in its partition are done: the next offset."""
    return {TopicPartition(record.topic, record.partition): OffsetAndMetadata(record.offset + 1, "", -1)}


def id_of(record: ConsumerRecord) -> str:
    """The id of the record's event: from the header `event_id`, else from the value, else topic-partition-offset.

    The latter are a redriven record's first coordinates. Never raises, because the record may not be an event.
    """
    if event_id := id_in(record.headers, record.value):
        return event_id
    if coordinates := first_coordinates(record.headers):
        return coordinates.replace("/", "-")
    return f"{record.topic}-{record.partition}-{record.offset}"


def pause(consumer: KafkaConsumer, partition: TopicPartition, until: float) -> None:
    """Fetch nothing from this partition. Until `until` (s, monotonic), `at_the_end` does not count it as stuck.

    Raises KeyError or ValueError if the partition is not assigned.
    """
    consumer.pause(partition)
    _WAITS.setdefault(consumer, {})[partition] = until


def resume(consumer: KafkaConsumer, partitions: Iterable[TopicPartition]) -> None:
    """Fetch again from partitions that were paused. Partitions that the consumer no longer has are left alone."""
    partitions = tuple(partitions)
    for partition in partitions:
        _WAITS.get(consumer, {}).pop(partition, None)
    kafka_fixes.resume(consumer, partitions)


def resume_due(consumer: KafkaConsumer) -> None:
    """Fetch again from the partitions whose wait, as told to `pause`, is over."""
    waits, now = _WAITS.get(consumer, {}), time.monotonic()
    resume(consumer, [partition for partition, until in list(waits.items()) if until <= now])


class _Ends:
    """Keeps where each partition ended when it was assigned, and whether anything moved in the last `patience` s."""

    def __init__(self, consumer: KafkaConsumer, patience: float):
        self.consumer, self.patience = repaired(consumer), patience
        self.ends: dict[TopicPartition, int] = {}
        self.behind: set[TopicPartition] = set()  # with records after an end that is the last stable offset
        self.beyond: dict[TopicPartition, int] = {}  # positions past the end, which auto_offset_reset will move
        self.positions: dict[TopicPartition, int] = {}
        self.moved = time.monotonic()
        self.bar = progress("Reading", 0, "record")

    def __enter__(self) -> "_Ends":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def reached(self) -> bool:
        """Whether everything was delivered. Raises LabError if nothing moves."""
        partitions = self.consumer.assignment()
        try:
            if new := partitions - self.ends.keys():  # at first, and after a rebalance
                self._add(new)
            # The position, not the last record: a transaction marker has an offset but is no record.
            at = {partition: self._position(partition) for partition in partitions}
        except KafkaTimeoutError as error:
            raise _stuck(self.consumer, self.patience) from error
        if at != self.positions:
            self.bar.update(sum(at[partition] - self.positions.get(partition, at[partition]) for partition in at))
            self.positions, self.moved = at, time.monotonic()
        if at and all(
            at[partition] >= self.ends[partition] and at[partition] != self.beyond.get(partition) for partition in at
        ):
            self._say_what_waits(partitions)
            return True
        waits = _WAITS.get(self.consumer, {})
        self.moved = max(
            [self.moved, *(min(time.monotonic(), waits[partition]) for partition in partitions & waits.keys())]
        )
        if time.monotonic() - self.moved > self.patience:
            raise _stuck(self.consumer, self.patience)
        return False

    def _add(self, partitions: set[TopicPartition]) -> None:
        # All that is to be asked is asked before a poll: a broker answers the requests of a connection one by one, and
        # what follows a fetch that finds nothing waits for its fetch_max_wait_ms.
        ends = log_ends = self._ask_for_ends(partitions)
        if transactions.reads_committed(self.consumer):
            with transactions.uncommitted(self.consumer):
                log_ends = self._ask_for_ends(partitions)
        for partition in partitions:
            position, end = self._position(partition), ends[partition]
            if position > end:
                self.beyond[partition] = position
            if log_ends[partition] > end:
                self.behind.add(partition)
            self.ends[partition] = end
            self.bar.total += max(0, end - position)

    def _ask_for_ends(self, partitions: set[TopicPartition]) -> dict[TopicPartition, int]:
        return self.consumer.end_offsets(partitions, timeout_ms=1_000 * self.patience)

    def _say_what_waits(self, partitions: set[TopicPartition]) -> None:
        with contextlib.suppress(KafkaError):  # everything was read, and this is only a note
            bounds = transactions.bounds(self.consumer, self.behind & partitions)
            for partition, words in sorted(transactions.held_up(self.consumer, bounds).items()):
                note(f"{partition.topic}/{partition.partition}: {words} ({transactions.READ_COMMITTED})")

    def _position(self, partition: TopicPartition) -> int:
        position = self.consumer.position(partition, timeout_ms=1_000 * self.patience)
        if position is None:  # the group's offsets are pending in an open transaction
            raise KafkaTimeoutError(f"no position in {partition}")
        return position


def _stuck(consumer: KafkaConsumer, patience: float) -> LabError:
    topics = ", ".join(sorted(consumer.subscription() or {partition.topic for partition in consumer.assignment()}))
    if not consumer.assignment():
        missing = sorted(topic for topic in consumer.subscription() or () if not consumer.partitions_for_topic(topic))
        seen = f"there is no topic {', '.join(missing)}" if missing else "other members of its group have them all"
        return LabError(
            f"Got no partition of {topics or 'any topic'} in {patience:g} s.",
            seen,
            "is its name right, and was it created?" if missing else "close the others, or use another group_id",
        )
    if paused := ", ".join(f"{partition.topic}/{partition.partition}" for partition in sorted(consumer.paused())):
        return LabError(
            f"Nothing came from {topics} in {patience:g} s, though it is not read to its end.",
            f"paused, and so not read: {paused}",
            "resume it: reading.resume(consumer, consumer.paused())",
        )
    pending = ", or an open transaction holds the group's offsets back" if consumer.config["group_id"] else ""
    return LabError(
        f"Nothing came from {topics} in {patience:g} s, though it is not read to its end.",
        f"Kafka does not answer{pending}",
        "is Kafka up? Run the first cell of the lesson again, or in a terminal: python3 lab.py status",
    )
