"""Rebuild a state from all of a topic, in a new group that then continues live. Lesson 11."""

import contextlib
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError
from kafka.structs import OffsetAndMetadata

from labsupport.errors import LabError
from labsupport.files import digest
from labsupport.history.offset_range import OffsetRange, inside
from labsupport.history.replay import Replay, choose
from labsupport.history.replay_report import ReplayReport
from labsupport.history.selection import Selection

EVERY = 1.0  # seconds between commits
COMMIT_MS = 5_000
UNFINISHED = "rebuilding"  # the commit metadata of an unfinished rebuild begins with this; its own id follows


def rebuild(
    consumer: KafkaConsumer,
    topic: str,
    handle: Callable[[Any], object],
    *,
    decode: Callable[[ConsumerRecord], Any] = lambda record: record,
    keep: Callable[[], object] = lambda: None,
    every: float = EVERY,
    patience: float = 10.0,
) -> ReplayReport:
    """Call `handle(decode(record))` for all that `topic` holds now, with a new consumer group.

    Every `every` seconds, and at the end, `keep()` makes the state durable, and then the offsets are
    committed. A killed rebuild can be run again: it continues where it was, and events that were not
    kept come again. Afterwards a service with this group continues with newer records. `decode` is as
    in `Replay.handle`; the replay's id is the group's name.

    The consumer has no topics of its own, and auto-commit switched off. Raises LabError if the group
    has members, or committed offsets that no unfinished rebuild left, or if another rebuild of the
    group runs: on this machine at once, on another one before the next commit of one of the two.
    """
    group = consumer.config["group_id"]
    if group is None:
        raise LabError(
            "A rebuild remembers how far it came in a group.",
            "this consumer has none",
            "give it a new group_id, and enable_auto_commit=False",
        )
    with _alone(consumer, group):
        replaying = choose(consumer, Selection(topic), replay_id=group, patience=patience)
        starts = tuple(_started(consumer, topic, each) for each in replaying.ranges)
        replaying = Replay(consumer, replaying.selection, starts, group, patience)
        saving = _Saving(consumer, topic, keep, every)
        # Refused if the group has members, before anything is handled.
        saving.begin({each.partition: each.start for each in starts})
        report = replaying.handle(handle, decode=decode, between=saving.now_and_then)
        saving.end(report.reached)
    return report


@contextlib.contextmanager
def _alone(consumer: KafkaConsumer, group: str) -> Iterator[None]:
    """Hold this machine's lock for the group. The system releases the lock of a program that dies."""
    where = digest(str(consumer.config["bootstrap_servers"]), group)
    lock = FileLock(Path(tempfile.gettempdir(), f"kafka-lab-rebuild-{where}.lock"), mode=0o666)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise _occupied(group, "another program on this machine rebuilds it") from None
    try:
        yield
    finally:
        lock.release()


def _occupied(group: str, seen: str) -> LabError:
    return LabError(f"{group} is being rebuilt already.", seen, "let that one finish, or stop it first")


def _started(consumer: KafkaConsumer, topic: str, offset_range: OffsetRange) -> OffsetRange:
    """The range without what an earlier, interrupted run has done."""
    stored = consumer.committed(TopicPartition(topic, offset_range.partition), metadata=True, timeout_ms=COMMIT_MS)
    if stored is None:
        return offset_range
    if not stored.metadata.startswith(UNFINISHED):
        raise LabError(
            f"{consumer.config['group_id']} has committed offsets in {topic} already.",
            f"it continues at offset {stored.offset} of partition {offset_range.partition}; a rebuild would lose that",
            "use a new group; or stop its members, reset it to the beginning, and let them read again",
        )
    start, note = inside(stored.offset, offset_range.log_start, offset_range.log_end)
    notes = (f"goes on at {start}", note) if start > offset_range.log_start else (note,)
    return replace(offset_range, start=start, notes=(*offset_range.notes, *(each for each in notes if each)))


class _Saving:
    """Keeps the state first and commits the offsets then: a crash in between delivers some events twice."""

    def __init__(self, consumer: KafkaConsumer, topic: str, keep: Callable[[], object], every: float):
        self.consumer, self.topic, self.keep, self.every = consumer, topic, keep, every
        self.last = time.monotonic()
        self.note = f"{UNFINISHED} {uuid.uuid4().hex}"

    def begin(self, reached: Mapping[int, int]) -> None:
        """Commit the starts as this rebuild's. A rebuild elsewhere notices before its next commit."""
        self.commit(reached, self.note)

    def now_and_then(self, reached: Mapping[int, int]) -> None:
        """Save, if `every` seconds have passed."""
        if time.monotonic() - self.last >= self.every:
            self.keep()
            self.require_ours(reached)
            self.commit(reached, self.note)
            self.last = time.monotonic()

    def end(self, reached: Mapping[int, int]) -> None:
        """Save, and leave the committed offsets to the group's service."""
        self.keep()
        self.require_ours(reached)
        self.commit(reached, "")

    def require_ours(self, partitions: Iterable[int]) -> None:
        """Raise LabError if somebody else has committed for the group since."""
        for each in partitions:
            partition = TopicPartition(self.topic, each)
            stored = self.consumer.committed(partition, metadata=True, timeout_ms=COMMIT_MS)
            if stored is None or stored.metadata != self.note:
                seen = (
                    f"somebody else has committed for it in {self.topic}, partition {each}: another rebuild, or a reset"
                )
                raise _occupied(self.consumer.config["group_id"], seen)

    def commit(self, reached: Mapping[int, int], note: str) -> None:
        offsets = {
            TopicPartition(self.topic, each): OffsetAndMetadata(offset, note, -1) for each, offset in reached.items()
        }
        try:
            self.consumer.commit(offsets, timeout_ms=COMMIT_MS)
        except (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError) as error:
            raise LabError(
                f"{self.consumer.config['group_id']} cannot be rebuilt now.",
                "it has members, which commit for it",
                "stop them first, or use a new group",
            ) from error
