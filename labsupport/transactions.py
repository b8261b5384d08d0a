"""What transactions make of a log: which records count, where reading ends, and who holds it up. Lesson 17.

Everything in the lab that reads or counts follows one rule, that of a service with `isolation_level="read_committed"`:

    record                                                counts
    written without a transaction                         yes
    of a committed transaction                            yes
    of an aborted transaction                             never
    of an open transaction                                not yet
    a transaction's marker                                is no record, though it has an offset

Such a service reads up to the last stable offset, where the oldest open transaction begins. All that lies behind it
waits, whoever wrote it. kafka-python 3.0.12 reads uncommitted by default, fixes the level when a consumer is made, and
hides markers, so some functions here reach into the client.
"""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import KafkaError
from kafka.protocol.consumer import IsolationLevel
from kafka.record.default_records import DefaultRecordBatch

READ_COMMITTED = "read_committed"
ABORTED, OPEN, COMMITTED = "aborted", "open", "committed"

ASK_MS = 5_000


class Bounds(NamedTuple):
    """A partition's log start offset, last stable offset and log end offset, asked for in this order."""

    begin: int
    stable: int
    end: int

    @property
    def hidden(self) -> int:
        """How many offsets lie behind the last stable one; `holders` says whether an open transaction is the reason."""
        return self.end - self.stable


def bounds(
    client: KafkaConsumer | KafkaAdminClient, partitions: Collection[TopicPartition], timeout_ms: int = ASK_MS
) -> dict[TopicPartition, Bounds]:
    """The bounds of each partition: three requests for each leader. Raises what the client raises.

    In this order a transaction that ends meanwhile at worst still counts as open.
    """
    begins = _offsets(client, partitions, OffsetSpec.EARLIEST, IsolationLevel.READ_UNCOMMITTED, timeout_ms)
    stable = _offsets(client, partitions, OffsetSpec.LATEST, IsolationLevel.READ_COMMITTED, timeout_ms)
    ends = _offsets(client, partitions, OffsetSpec.LATEST, IsolationLevel.READ_UNCOMMITTED, timeout_ms)
    return {each: Bounds(begins[each], min(stable[each], ends[each]), ends[each]) for each in partitions}


def _offsets(
    client: KafkaConsumer | KafkaAdminClient,
    partitions: Collection[TopicPartition],
    spec: OffsetSpec,
    level: IsolationLevel,
    timeout_ms: int,
) -> dict[TopicPartition, int]:
    if not partitions:
        return {}
    if isinstance(client, KafkaAdminClient):
        asked = dict.fromkeys(partitions, spec)
        found = client.list_partition_offsets(asked, isolation_level=level, timeout_ms=timeout_ms)
        return {each: at.offset for each, at in found.items()}
    with _level(client, level):
        ask = client.beginning_offsets if spec is OffsetSpec.EARLIEST else client.end_offsets
        return ask(partitions, timeout_ms=timeout_ms)


def read_committed(consumer: KafkaConsumer) -> KafkaConsumer:
    """Make the consumer read committed, whatever it was made with, before it is assigned partitions; returns it."""
    consumer._fetcher._isolation_level = IsolationLevel.READ_COMMITTED
    return consumer


def reads_committed(consumer: KafkaConsumer) -> bool:
    """Whether the consumer gets only records that count."""
    return consumer._fetcher._isolation_level == IsolationLevel.READ_COMMITTED


@contextlib.contextmanager
def uncommitted(consumer: KafkaConsumer) -> Iterator[None]:
    """For the body of a `with`, let the consumer read to the log end, aborted and open transactions included."""
    with _level(consumer, IsolationLevel.READ_UNCOMMITTED):
        yield


@contextlib.contextmanager
def _level(consumer: KafkaConsumer, level: IsolationLevel) -> Iterator[None]:
    fetcher = consumer._fetcher
    before, fetcher._isolation_level = fetcher._isolation_level, level
    try:
        yield
    finally:
        fetcher._isolation_level = before


# Open transactions


def held_up(
    client: KafkaConsumer | KafkaAdminClient, found: Mapping[TopicPartition, Bounds]
) -> dict[TopicPartition, str]:
    """For each partition with offsets that wait for an open transaction, a sentence that says so and names it.

    Asks for names as `holders` does.
    """
    return {each: waiting(found[each].hidden, names) for each, names in holders(client, found).items()}


def holders(
    client: KafkaConsumer | KafkaAdminClient, found: Mapping[TopicPartition, Bounds]
) -> dict[TopicPartition, tuple[str, ...]]:
    """For each partition that is held up, the transactional ids of its open transactions.

    A producer that no coordinator knows has a number instead; a broker that does not tell gives no names. Asks only
    where the end lies behind the last stable offset: it also does if records have come between the two questions.
    """
    behind = [each for each, bounds in found.items() if bounds.hidden]
    if not behind:
        return {}
    try:
        names = _holders(client, {each: found[each].end for each in behind})
    except KafkaError:  # an old broker, or no permission to ask
        still = bounds(client, behind)
        return {each: () for each in behind if still[each].stable < found[each].end}
    return {each: some for each, some in names.items() if some}


def waiting(offsets: int, holders: Iterable[str] = ()) -> str:
    """Say how many offsets wait for the open transactions of these producers."""
    of = f" of {', '.join(holders)}" if holders else ""
    return f"{offsets:,} {'offset waits' if offsets == 1 else 'offsets wait'} for an open transaction{of}"


def _holders(
    client: KafkaConsumer | KafkaAdminClient, ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, tuple[str, ...]]:
    """By partition, who has a transaction open that began before this end."""
    if isinstance(client, KafkaConsumer):
        config = {name: client.config[name] for name in KafkaAdminClient.DEFAULT_CONFIG if name in client.config}
        with contextlib.closing(KafkaAdminClient(**config)) as admin:
            return _holders(admin, ends)
    described = client.describe_producers(list(ends))
    ids = {
        partition: [
            each.producer_id
            for each in state.active_producers
            if 0 <= each.current_transaction_start_offset < ends[partition]
        ]
        for partition, state in described.items()
    }
    every = sorted({each for some in ids.values() for each in some})
    listed = client.list_transactions(producer_id_filters=every) if every else {}
    names = {each.producer_id: each.transactional_id for some in listed.values() for each in some}
    return {
        partition: tuple(sorted(names.get(each, f"producer {each}") for each in some))
        for partition, some in ids.items()
    }


# A log with all that it holds


@dataclass(frozen=True)
class Batch:
    """A batch that belongs to a transaction of `producer` (its producer id), with the offsets from `first` to `last`.

    `marker`: COMMITTED or ABORTED if the batch is the transaction's marker.
    """

    first: int
    last: int
    producer: int
    marker: str = ""


def outcomes(batches: Iterable[Batch], stable: int, end: int) -> dict[int, str]:
    """By offset, what became of each record of a transaction: COMMITTED, ABORTED or OPEN. Pure.

    `batches`: of one partition, in order, up to `end`. A transaction without a marker is open from the last stable
    offset `stable` on. Before that its marker was compacted away, and by then the cleaner had removed the records of
    aborted transactions.
    """
    found: dict[int, str] = {}
    going: dict[int, list[Batch]] = {}
    for batch in batches:
        if batch.first >= end:
            break
        if batch.marker:
            found |= _all(going.pop(batch.producer, ()), batch.marker)
        else:
            going.setdefault(batch.producer, []).append(batch)
    for some in going.values():
        found |= _all(some, OPEN if some[-1].last >= stable else COMMITTED)
    return found


def _all(batches: Iterable[Batch], outcome: str) -> dict[int, str]:
    return {offset: outcome for batch in batches for offset in range(batch.first, batch.last + 1)}


def note_batches(consumer: KafkaConsumer) -> dict[TopicPartition, dict[int, Batch]]:
    """Let the consumer note each batch of a transaction that it unpacks from now on, by partition and first offset."""
    noted: dict[TopicPartition, dict[int, Batch]] = {}

    class Noting(consumer._fetcher.PartitionRecords):
        def _unpack_records(self, tp: TopicPartition, records: Any, *more: Any) -> Any:
            return super()._unpack_records(tp, _Noted(records, noted.setdefault(tp, {})), *more)

    consumer._fetcher.PartitionRecords = Noting
    return noted


class _Noted:
    """Fetched batches that are noted when they are handed out."""

    def __init__(self, records: Any, noted: dict[int, Batch]):
        self._records, self._noted = records, noted

    @property
    def _next_slice(self) -> Any:
        return self._records._next_slice

    def next_batch(self) -> Any:
        raw = self._next_slice
        batch = self._records.next_batch()
        if isinstance(batch, DefaultRecordBatch):
            marker = ""
            if batch.is_control_batch:
                # From a copy, because reading a batch uses it up. One that compaction has emptied says nothing.
                control = next(iter(DefaultRecordBatch(raw)), None)
                marker = "" if control is None else ABORTED if control.abort else COMMITTED
            if marker or (batch.is_transactional and not batch.is_control_batch):
                self._noted[batch.base_offset] = Batch(batch.base_offset, batch.last_offset, batch.producer_id, marker)
        return batch
