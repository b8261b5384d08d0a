"""The report of a replay or redrive: what became of each record in the selected ranges."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kafka import errors
from kafka.consumer.fetcher import ConsumerRecord
from kafka.future import Future

from labsupport.errors import LabError, UnknownEventError
from labsupport.history.offset_range import OffsetRange
from labsupport.transactions import READ_COMMITTED

if TYPE_CHECKING:
    import pandas

UNREADABLE = "this client cannot read it"
EXAMPLES = 3  # of skipped records; all are counted, but few kept, so that memory does not grow

# After one of these errors nobody knows whether the record is stored.
NO_ANSWER = (
    errors.KafkaTimeoutError,
    errors.RequestTimedOutError,
    errors.KafkaConnectionError,
    errors.NetworkExceptionError,
    errors.NotEnoughReplicasAfterAppendError,
    errors.Cancelled,
)


@dataclass(frozen=True)
class ReplayReport:
    """What became of the records. All numbers count records, except `expired`, which counts offsets.

    `read` = `chosen` + `left_out` (by the condition that failed). `chosen` = `done` + `skipped` (by reason) + `refused`
    (sent but not stored, by the error's class) + `unanswered` (sent without an acknowledgement: stored or not). After
    an interrupt, `chosen` also counts the record in hand, or all remaining ones of a redrive. `verb` is handled or
    sent; a dry run did neither. `reached` is the next offset by partition; `expired` counts, by partition, offsets
    that were deleted before they could be read. `isolation`: records of aborted transactions are not read, and reading
    ends where an open transaction begins.
    """

    topic: str
    replay_id: str
    ranges: tuple[OffsetRange, ...]
    verb: str = "handled"
    dry_run: bool = False
    read: int = 0
    chosen: int = 0
    done: int = 0
    unanswered: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    expired: Mapping[int, int] = field(default_factory=dict)
    reached: Mapping[int, int] = field(default_factory=dict)
    isolation: str = READ_COMMITTED

    @property
    def complete(self) -> bool:
        """Whether every range was read to its end and every sent record is stored."""
        return not (self.unanswered or self.refused) and all(
            self.reached[each.partition] >= each.stop for each in self.ranges
        )

    @property
    def table(self) -> "pandas.DataFrame":
        """A row per partition: begin and end of the log, start, stop and reached (offsets), expired, notes."""
        import pandas  # here, because it takes longer to import than all the rest of a lesson

        columns = ["partition", "begin", "end", "start", "stop", "reached", "expired", "notes"]
        rows = [
            (each.partition, each.log_start, each.log_end, each.start, each.stop, self.reached[each.partition],
             self.expired.get(each.partition, 0), "; ".join(each.notes))
            for each in self.ranges
        ]  # fmt: skip
        return pandas.DataFrame(rows, columns=columns).set_index("partition")

    def __str__(self) -> str:
        if self.dry_run:
            end = f"{self.chosen - sum(self.skipped.values()):,} would be {self.verb}"
        else:
            end = f"{self.done:,} {self.verb}"
        lines = [f"{self.topic}: {self.read:,} records read ({self.isolation}), {self.chosen:,} chosen, {end}"]
        lines += [f"  {count:,} left out by {name}" for name, count in self.left_out.items()]
        lines += [f"  {count:,} skipped: {reason}" for reason, count in self.skipped.items()]
        lines += [f"    {example}" for example in self.examples]
        lines += [f"  {count:,} refused, and not stored: {name}" for name, count in self.refused.items()]
        if self.unanswered:
            lines.append(f"  {self.unanswered:,} sent without an answer: stored or not")
        for each in self.ranges:
            at = self.reached[each.partition]
            lines += [f"  partition {each.partition}: {note}" for note in each.notes]
            if expired := self.expired.get(each.partition):
                lines.append(f"  partition {each.partition}: {expired:,} offsets were deleted before they were read")
            if at < each.stop:
                lines.append(f"  partition {each.partition}: came to offset {at} of {each.start} to {each.stop - 1}")
        return "\n".join(lines)

    __repr__ = __str__


class ReplayCounter:
    """Counts while records are worked on; `report` is the state so far."""

    def __init__(
        self, topic: str, replay_id: str, ranges: Sequence[OffsetRange], verb: str = "handled", dry_run: bool = False
    ):
        self.topic, self.replay_id, self.ranges = topic, replay_id, tuple(ranges)
        self.verb, self.dry_run = verb, dry_run
        self.read = self.chosen = self.done = 0
        self.left_out: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.expired: Counter[int] = Counter()
        self.reached = {each.partition: each.start for each in ranges}
        self.waiting: deque[tuple[ConsumerRecord, Future]] = deque()  # sent, not yet acknowledged
        self._examples: list[str] = []

    @classmethod
    def on(cls, seen: ReplayReport, verb: str, dry_run: bool) -> "ReplayCounter":
        """A counter for records that the report `seen` has only looked at."""
        counter = cls(seen.topic, seen.replay_id, seen.ranges, verb, dry_run)
        counter.read, counter.chosen = seen.read, seen.chosen
        counter.left_out, counter.skipped = Counter(seen.left_out), Counter(seen.skipped)
        counter.expired, counter._examples = Counter(seen.expired), list(seen.examples)
        return counter

    @property
    def report(self) -> ReplayReport:
        """The report so far."""
        acknowledged = sum(future.succeeded() for _, future in self.waiting)
        failed = [future.exception for _, future in self.waiting if future.is_done and not future.succeeded()]
        refused = Counter(type(error).__name__ for error in failed if is_refusal(error))
        return ReplayReport(
            topic=self.topic,
            replay_id=self.replay_id,
            ranges=self.ranges,
            verb=self.verb,
            dry_run=self.dry_run,
            read=self.read,
            chosen=self.chosen,
            done=self.done + acknowledged,
            unanswered=len(self.waiting) - acknowledged - refused.total(),
            refused=dict(refused),
            left_out=dict(self.left_out),
            skipped=dict(self.skipped),
            examples=tuple(self._examples),
            expired=dict(self.expired),
            reached=dict(self.reached),
        )

    def skip(self, record: ConsumerRecord, why: Exception) -> None:
        """Count a record that is neither handled nor sent."""
        reason = getattr(why, "reason", "unknown type" if isinstance(why, UnknownEventError) else "undecodable")
        self.skipped[reason] += 1
        if len(self._examples) < EXAMPLES:
            self._examples.append(f"{coordinates_of(record)}: {why}")

    def unread(self, partition: int, start: int, stop: int, why: LabError) -> None:
        """Count records that the client cannot read. They count as chosen, because nobody knows what they are."""
        count = stop - start
        self.read += count
        self.chosen += count
        self.skipped[UNREADABLE] += count
        if len(self._examples) < EXAMPLES:
            self._examples.append(f"{self.topic}/{partition}/{start}: {why.seen}")

    def expire(self, partition: int, start: int, stop: int) -> None:
        """Count offsets that were deleted before they were read."""
        self.expired[partition] += stop - start


def is_refusal(error: BaseException) -> bool:
    """Whether this error proves that the record is not stored. Without an answer nobody knows."""
    return not isinstance(error, NO_ANSWER)


def coordinates_of(record: ConsumerRecord) -> str:
    """The record's topic/partition/offset."""
    return f"{record.topic}/{record.partition}/{record.offset}"
