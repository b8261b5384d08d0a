"""Works around faults of kafka-python 3.0.12 in reading records; every consumer of the lab goes through `readable`.

    1. A record that cannot be read ends the generator that unpacks its batch. The error comes out of one poll(); the
       next one asks the ended generator for records, gets none, and asks again, without a pause: it never returns.
    2. A header's name is bytes in the log, and clients in Go and C write any. One that is not UTF-8 makes the whole
       record unreadable.

With it, each poll() raises the same error again, until the consumer goes past the record; and such a name is read, with
a question mark for each byte that is not UTF-8. What a deserializer raises stays as it is, with a note where it was.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import UnsupportedCodecError
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import decode_varint

from labsupport.errors import LabError


class UnreadableError(LabError):
    """Records lie in the log that this client cannot read; `__cause__` is what it says about them.

    `place` is their partition, `start` the first offset of them, and `stop` the one at which a consumer can go on.
    """

    def __init__(self, place: TopicPartition, start: int, stop: int, error: Exception):
        self.place, self.start, self.stop = place, start, stop
        which, it = (f"offset {start}", "it") if stop - start == 1 else (f"offsets {start} to {stop - 1}", "them")
        said, name = str(error), type(error).__name__
        missing = "python3 lab.py sets the environment up again, with the library that is missing; or\n"
        reset = f'resetting.reset(lab.admin(), group, "{place.topic}", offset={stop}, partitions=[{place.partition}])'
        super().__init__(
            f"Could not read {place.topic}, partition {place.partition}, {which}.",
            said if said.startswith(name) else f"{name}: {said}",
            f"{missing if isinstance(error, UnsupportedCodecError) else ''}to go on without {it}: "
            f"{_past(place, stop)};\nfor a group, with its members stopped: {reset}",
        )


def readable(consumer: KafkaConsumer) -> KafkaConsumer:
    """The consumer, which reads what it can, and says of what it cannot where it lies. Harmless a second time."""
    fetcher = consumer._fetcher
    if not issubclass(fetcher.PartitionRecords, _Repaired):
        fetcher.PartitionRecords = type("PartitionRecords", (_Repaired, fetcher.PartitionRecords), {})
    return consumer


class _Repaired:
    """What was fetched from one partition; laid over the client's own class."""

    topic_partition: TopicPartition
    fetch_offset: int
    next_fetch_offset: int
    drain: Callable[[], None]

    def take(self, n: int | None = None) -> list:
        """The next `n` records. After an error there are none: they are fetched anew."""
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

    def _deserialize(self, deserializer: Any, topic: str, headers: Any, data: bytes | None) -> Any:
        try:
            return super()._deserialize(deserializer, topic, headers, data)
        except Exception as error:
            place, offset = self.topic_partition, self._batches.offset()
            if offset < self.fetch_offset:
                return None  # a batch is unpacked from its beginning: what was read before is dropped
            error.add_note(
                f"{topic}, partition {place.partition}, offset {offset}; past it: {_past(place, offset + 1)}"
            )
            raise _Deserializing from error


class _Deserializing(Exception):  # noqa: N818 - carries an error through the client's code
    """What a deserializer raised is its `__cause__`."""


class _Batches:
    """The batches of what was fetched, one after the other, and where the last one lies."""

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
        """That of the record that was unpacked last; it is unpacked again, because the client keeps no account."""
        again = DefaultRecordBatch(self._raw)
        again.__class__ = _Batch
        return next(islice(again, self._batch._next_record_index - 1, None)).offset


class _Batch(DefaultRecordBatch):
    """A batch whose records may have headers with any name."""

    __slots__ = ()

    def _read_msg(self, *rest: Any) -> Any:
        try:
            return super()._read_msg(*rest)
        except UnicodeDecodeError:  # the client is still at the beginning of the record
            self._make_names_text()
            return super()._read_msg(*rest)

    def _make_names_text(self) -> None:
        """In the record that comes next: as many bytes, but for UTF-8's sake."""
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


def _past(place: TopicPartition, offset: int) -> str:
    return f'consumer.seek(TopicPartition("{place.topic}", {place.partition}), {offset})'
