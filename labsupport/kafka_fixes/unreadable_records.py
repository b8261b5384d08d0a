"""A workaround for records that the client cannot read."""

from collections.abc import Callable
from itertools import islice
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import UnsupportedCodecError
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import decode_varint

from labsupport.errors import LabError


class UnreadableError(LabError):
    """The client cannot read records of `partition`, from offset `start`; `__cause__` is its own error.

    A consumer can go on at offset `stop`.
    """

    def __init__(self, partition: TopicPartition, start: int, stop: int, error: Exception):
        self.partition, self.start, self.stop = partition, start, stop
        which, it = (f"offset {start}", "it") if stop - start == 1 else (f"offsets {start} to {stop - 1}", "them")
        said, name = str(error), type(error).__name__
        missing = "python3 lab.py installs the missing library; or\n"
        where = f'"{partition.topic}", offset={stop}, partitions=[{partition.partition}]'
        super().__init__(
            f"Could not read {partition.topic}, partition {partition.partition}, {which}.",
            said if said.startswith(name) else f"{name}: {said}",
            f"{missing if isinstance(error, UnsupportedCodecError) else ''}to go on without {it}: "
            f"{_past(partition, stop)};\n"
            f"for a group, with its members stopped: reset.reset_offsets(lab.admin(), group, {where})",
        )


def readable(consumer: KafkaConsumer) -> KafkaConsumer:
    """Make each poll name an unreadable record until the consumer goes past it; returns the consumer.

    An error of a deserializer stays as it is, with a note that says where its record is. A second call does nothing.

    Fault (3.0.12): an unreadable record ends the generator that unpacks its batch. One poll() raises the error; the
    next one asks the ended generator for records in a busy loop and never returns.
    Older forms: https://github.com/dpkp/kafka-python/issues/1443, /1033 and /541.

    Fault (3.0.12): header names are bytes in the log, and clients in Go and C write any. The client decodes them
    strictly, so one name that is not UTF-8 makes its record unreadable. Here such a name is read with a question mark
    for each byte that is not UTF-8. Not reported that we found.

    Fault (3.0.12): compaction can empty the batch of a transaction's marker and keep it, if it is its producer's last.
    A consumer that reads committed asks it for its first record, and the StopIteration ends as RuntimeError. Here an
    empty batch is no marker. Not reported that we found.
    """
    fetcher = consumer._fetcher
    if not issubclass(fetcher.PartitionRecords, _Repaired):
        fetcher.PartitionRecords = type("PartitionRecords", (_Repaired, fetcher.PartitionRecords), {})
    return consumer


class _Repaired:
    """The records fetched from one partition; mixed into the client's own class."""

    topic_partition: TopicPartition
    fetch_offset: int
    next_fetch_offset: int
    drain: Callable[[], None]

    def take(self, n: int | None = None) -> list:
        """Return the next `n` records. After an error the rest is dropped, so that it is fetched again."""
        try:
            return super().take(n)
        except Exception:
            self.drain()
            raise

    def _unpack_records(self, tp: TopicPartition, records: Any, *deserializers: Any) -> Any:
        self._batches = _Batches(records)
        try:
            yield from super()._unpack_records(tp, self._batches, *deserializers)
        except _Deserializing as error:
            raise error.__cause__ from None
        except Exception as error:
            start = max(self.next_fetch_offset, self._batches.base_offset)
            raise UnreadableError(tp, start, max(start + 1, self._batches.next_offset), error) from error

    def _contains_abort_marker(self, batch: Any) -> bool:
        return batch.is_control_batch and batch.records_count > 0 and super()._contains_abort_marker(batch)

    def _deserialize(self, deserializer: Any, topic: str, headers: Any, data: bytes | None) -> Any:
        try:
            return super()._deserialize(deserializer, topic, headers, data)
        except Exception as error:
            partition, offset = self.topic_partition, self._batches.offset()
            if offset < self.fetch_offset:
                return None  # the client unpacks a batch from its beginning, and drops what was read before
            number = partition.partition
            error.add_note(f"{topic}, partition {number}, offset {offset}; past it: {_past(partition, offset + 1)}")
            raise _Deserializing from error


class _Deserializing(Exception):  # noqa: N818 - carries an error through the client's code
    """Its `__cause__` is the error of a deserializer."""


class _Batches:
    """The fetched batches, one after the other, and the offsets of the last one."""

    def __init__(self, records: Any):
        self._records = records
        self._batch = self._raw = None
        self.base_offset = self.next_offset = 0

    def next_batch(self) -> Any:
        self._raw = self._records._next_slice
        self._batch = batch = self._records.next_batch()
        if batch is not None:
            self.base_offset = batch.base_offset
        if type(batch) is DefaultRecordBatch:
            self.next_offset = batch.next_offset
            batch.__class__ = _Batch
        return batch

    def offset(self) -> int:
        """The offset of the record that was unpacked last. Unpacks it again, because the client does not keep it."""
        again = DefaultRecordBatch(self._raw)
        again.__class__ = _Batch
        return next(islice(again, self._batch._next_record_index - 1, None)).offset


class _Batch(DefaultRecordBatch):
    """A batch whose header names may be any bytes."""

    __slots__ = ()

    def _read_msg(self, *rest: Any) -> Any:
        try:
            return super()._read_msg(*rest)
        except UnicodeDecodeError:  # the client is still at the beginning of the record
            self._make_names_text()
            return super()._read_msg(*rest)

    def _make_names_text(self) -> None:
        """Replace, in the next record, each byte of a header name that is not UTF-8."""
        buffer, at = self._buffer, self._pos
        for _ in ("length", "attributes", "timestamp", "offset"):
            _, at = decode_varint(buffer, at)
        for _ in ("key", "value"):
            size, at = decode_varint(buffer, at)
            at += max(0, size)
        headers, at = decode_varint(buffer, at)
        for _ in range(headers):
            size, at = decode_varint(buffer, at)
            name = bytes(buffer[at : at + size]).decode(errors="surrogateescape")
            buffer[at : at + size] = name.encode(errors="replace")
            at += size
            size, at = decode_varint(buffer, at)
            at += max(0, size)


def _past(partition: TopicPartition, offset: int) -> str:
    return f'consumer.seek(TopicPartition("{partition.topic}", {partition.partition}), {offset})'
