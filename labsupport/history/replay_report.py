"""The account of a replay: what became of each record in the chosen ranges, counted while it runs."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kafka import errors
from kafka.consumer.fetcher import ConsumerRecord
from kafka.future import Future

from labsupport.errors import LabError, UnknownEventError
from labsupport.history.offset_range import OffsetRange

if TYPE_CHECKING:
    import pandas

UNREADABLE = "this client cannot read it"
EXAMPLES = 3  # of what was skipped; all are counted, and few are kept, so that a long replay needs no more memory

# After these a record may be stored or not.
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
    """What became of the records; all numbers are records, but `expired`, which are offsets.

    `read` = `chosen` + `left_out` (by what they did not fit). `chosen` = `done` + `skipped` (by reason) + `refused`
    (sent, and not stored; by the error's class) + `unanswered` (sent and not acknowledged: stored or not) and, if it
    did not come to the end, one that was in hand, of a redrive all that were left. `verb` is handled or
    sent; with `dry_run` nothing was. `reached` is the next offset by partition, and `expired` what was deleted before
    it could be read.
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

    @property
    def complete(self) -> bool:
        """Whether it came to the end of every offset_range."""
        return not (self.unanswered or self.refused) and all(
            self.reached[each.partition] >= each.stop for each in self.ranges
        )

    @property
    def table(self) -> "pandas.DataFrame":
        """A row for each partition: begin and end of the log, start, stop and reached (offsets), expired, notes."""
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
        lines = [f"{self.topic}: {self.read:,} records read, {self.chosen:,} chosen, {end}"]
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
    """An account while it is drawn up: `account` is how it stands."""

    def __init__(
        self, topic: str, replay_id: str, ranges: Sequence[OffsetRange], verb: str = "handled", dry_run: bool = False
    ):
        self._fixed = {"topic": topic, "replay_id": replay_id, "ranges": tuple(ranges)}
        self._fixed |= {"verb": verb, "dry_run": dry_run}
        self.dry_run = dry_run
        self.read = self.chosen = self.done = 0
        self.left_out: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.expired: Counter[int] = Counter()
        self.reached = {each.partition: each.start for each in ranges}
        self.waiting: deque[tuple[ConsumerRecord, Future]] = deque()  # sent, and not known to be acknowledged
        self._examples: list[str] = []

    @classmethod
    def on(cls, account: ReplayReport, verb: str, dry_run: bool) -> "ReplayCounter":
        """What is done with the records of this account, which were only looked at."""
        counter = cls(account.topic, account.replay_id, account.ranges, verb, dry_run)
        counter.read, counter.chosen = account.read, account.chosen
        counter.left_out, counter.skipped = Counter(account.left_out), Counter(account.skipped)
        counter.expired, counter._examples = Counter(account.expired), list(account.examples)
        return counter

    @property
    def report(self) -> ReplayReport:
        """The account as it stands now."""
        acknowledged = sum(future.succeeded() for _, future in self.waiting)
        failed = [future.exception for _, future in self.waiting if future.is_done and not future.succeeded()]
        refused = Counter(type(error).__name__ for error in failed if is_refusal(error))
        return ReplayReport(
            **self._fixed,
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
        """Count a record that is not to be handled or sent."""
        reason = getattr(why, "reason", "unknown type" if isinstance(why, UnknownEventError) else "undecodable")
        self.skipped[reason] += 1
        if len(self._examples) < EXAMPLES:
            self._examples.append(f"{coordinates_of(record)}: {why}")

    def unread(self, partition: int, start: int, stop: int, why: LabError) -> None:
        """Count records that the client cannot read; what they are, and so whether they were chosen, nobody knows."""
        count = stop - start
        self.read += count
        self.chosen += count
        self.skipped[UNREADABLE] += count
        if len(self._examples) < EXAMPLES:
            self._examples.append(f"{self._fixed['topic']}/{partition}/{start}: {why.seen}")

    def expire(self, partition: int, start: int, stop: int) -> None:
        """Count offsets that were deleted before they were read."""
        self.expired[partition] += stop - start


def is_refusal(error: BaseException) -> bool:
    """Whether a record that was answered with this error is certainly not stored; without an answer nobody knows."""
    return not isinstance(error, NO_ANSWER)


def coordinates_of(record: ConsumerRecord) -> str:
    """Where a record lies: topic/partition/offset."""
    return f"{record.topic}/{record.partition}/{record.offset}"
