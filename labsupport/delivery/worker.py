"""The consumer that a service runs: poll, decode, handle, decide, act, commit.

Lesson 05 runs it as a member, lesson 07 kills it, in lesson 09 it learns what to do about what it cannot process.

One thread, one loop. What it does it tells, moment by moment, to the hooks it was given; it does not know whether they
write a log, draw a picture or kill it.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import CommitFailedError, FencedInstanceIdError, KafkaTimeoutError, RebalanceInProgressError
from kafka.structs import OffsetAndMetadata

from labsupport.delivery.dead_letter import for_others
from labsupport.delivery.error_handler import ErrorHandler
from labsupport.delivery.moments import Kind, Moment
from labsupport.delivery.offsets import OffsetTracker
from labsupport.delivery.reading import require_no_auto_commit
from labsupport.delivery.retry import DEAD_LETTER, RETRY, STOP
from labsupport.errors import LabError
from labsupport.kafka_fixes import listen, pattern_of, readable

POLL_MS = 200  # how long one poll waits for records, and so how long a request to stop goes unheard
# With a pattern the group is joined again when a topic appears; if a poll ends in the middle of that, this client
# (3.0.12) may stay without partitions.
PATTERN_POLL_MS = 5_000
COMMIT_MS = 5_000


class Worker:
    """Handles each record of a consumer's partitions, then commits it; never past one that is not handled.

    `decode(record)` makes what `handle` gets; without it that is the record itself. The consumer needs a group, topics
    or partitions, and auto-commit switched off, and it hands out bytes; whoever made it closes it, and so leaves the
    group. Each of `hooks` is called with each Moment; those of assigned, revoked and lost come on the client's own
    thread, and take the partition of a rebalance listener that the consumer had. `recovery` says what becomes of a record
    that fails; without it the worker stops there.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        handle: Callable[[Any], object],
        *,
        decode: Callable[[ConsumerRecord], Any] = lambda record: record,
        hooks: Iterable[Callable[[Moment], None]] = (),
        error_handler: ErrorHandler | None = None,
    ):
        self.consumer, self.handle, self.decode, self.hooks = readable(consumer), handle, decode, tuple(hooks)
        self.error_handler = error_handler
        self.offsets = OffsetTracker()
        self._group = consumer.config["group_id"]
        self._generation: int | None = None  # of the group, when what is in hand was handed out
        self._stopping = False

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Work until `stop()`, or until `until()` says so between two polls.

        What `decode` or `handle` raises comes out: that record is not committed, all before it are. With a recovery
        (lesson 09) only DeadLetterError does, or what its policy stops at. UnreadableError comes out where a record
        lies that the client cannot read. FencedInstanceIdError comes out too: another consumer has this one's
        `group_instance_id`, and nothing it does counts. Raises LabError, before the first poll, for a consumer that
        a worker cannot stand on.
        """
        self._require_foundations()
        self._listen()
        while not (self._stopping or until()):
            if self.error_handler:
                self.error_handler.resume(self.consumer)  # partitions whose wait is over
            try:
                polled = self.consumer.poll(timeout_ms=PATTERN_POLL_MS if self._pattern else POLL_MS)
                self._generation = self._generation_now()
                for partition, records in polled.items():
                    self.offsets.delivered(partition, [record.offset for record in records])
                    for record in records:
                        # Not behind a record that is tried again, nor for a group that has thrown this member out.
                        if not self._stopping and self.offsets.owns(partition, record.offset) and self._is_member():
                            self._work_off(partition, record)
            finally:
                self._commit()

    def stop(self) -> None:
        """End after the record in hand, with everything committed that is handled. For a signal handler too."""
        self._stopping = True

    def _work_off(self, partition: TopicPartition, record: ConsumerRecord) -> None:
        if for_others(record, self._group):
            self._tell_of(Kind.SKIPPED, record)
        else:
            if self.hooks:
                self._tell_of(Kind.HANDLING, record)
            try:
                self.handle(self.decode(record))
            except Exception as error:
                self._tell_of(Kind.FAILED, record, error=type(error).__name__)
                if self.error_handler is None:
                    raise
                if not self._recover(self.error_handler, partition, record, error):
                    return
            else:
                if self.hooks:
                    self._tell_of(Kind.HANDLED, record)
                if self.error_handler:
                    self.error_handler.done(partition)
        self.offsets.ack(partition, record.offset)

    def _recover(
        self, recovery: ErrorHandler, partition: TopicPartition, record: ConsumerRecord, error: Exception
    ) -> bool:
        """Decide, and act; whether that was the end of the record."""
        if not self._is_member():
            return False  # its partition goes to another member, which decides for itself
        decision, attempts = recovery.decide(record, error)
        if decision.overdue:
            self._tell_of(Kind.OVERDUE, record, seconds=decision.overdue, error=type(error).__name__)
        if decision.what == STOP:
            raise error
        if decision.what == DEAD_LETTER:
            recovery.send_to_dead_letter(record, error, attempts, self._group)
            self._tell_of(Kind.DEAD_LETTERED, record)
            recovery.done(partition)
            return True
        self.offsets.take_back(partition, record.offset)
        recovery.wait(self.consumer, record)
        self._tell_of(Kind.RETRYING if decision.what == RETRY else Kind.PAUSED, record, seconds=decision.seconds)
        return False

    def _require_foundations(self) -> None:
        require_no_auto_commit(self.consumer, "A worker")
        for name in ("key_deserializer", "value_deserializer"):
            if self.consumer.config[name] is not None:
                raise LabError(
                    "A worker needs the records as bytes.",
                    f"this consumer has a {name}: it raises in poll(), where no record can be set aside",
                    "make the consumer without it, and give the worker decode=…",
                )
        if not (self.consumer.assignment() or self.consumer.subscription() or self._pattern):
            raise LabError(
                "A worker needs topics.",
                "its consumer has neither topics nor partitions",
                "name them: lab.consumer(topic, …), or consumer.subscribe([topic])",
            )

    @property
    def _pattern(self) -> Any:
        return pattern_of(self.consumer)

    def _listen(self) -> None:
        listen(self.consumer, _Listener(self))

    def _generation_now(self) -> int:
        return self.consumer.group_metadata().generation_id

    def _is_member(self) -> bool:
        """Whether what is in hand is still this member's: the client hears within a heartbeat that it is not.

        It tells its listener in the next poll() and no earlier. Partitions that were assigned by hand nobody takes.
        """
        now = self._generation_now()
        return now == self._generation and (now >= 0 or not self.consumer.subscription())

    def _commit(self) -> None:
        due = self.offsets.committable
        if not due:
            return
        self._tell(Kind.COMMITTING, due)
        try:
            offsets = {partition: OffsetAndMetadata(offset, "", -1) for partition, offset in due.items()}
            self.consumer.commit(offsets, timeout_ms=COMMIT_MS)
        except (CommitFailedError, RebalanceInProgressError):
            self._tell(Kind.REFUSED, due)  # others have these partitions, and get the records again
        except FencedInstanceIdError:
            self._tell(Kind.REFUSED, due)
            raise
        except KafkaTimeoutError:
            self._tell(Kind.UNANSWERED, due)  # committed or not: nobody knows, so it is said again after the next poll
            return
        else:
            self._tell(Kind.COMMITTED, due)
        self.offsets.committed(due)

    def gone(self, what: str, partitions: Iterable[TopicPartition]) -> None:
        """Partitions that were taken away: others commit there now."""
        self.offsets.gone(partitions)
        if self.error_handler:
            self.error_handler.gone(partitions)
        self._tell(what, partitions)

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Partitions that were given."""
        self._tell(Kind.ASSIGNED, partitions, generation=self.consumer.group_metadata().generation_id)

    def _tell_of(self, what: str, record: ConsumerRecord, **more: Any) -> None:
        if self.hooks:
            self._say(Moment.of(what, self.consumer.config["client_id"], record, **more))

    def _tell(self, what: str, partitions: Iterable[TopicPartition] | dict[TopicPartition, int], **more: Any) -> None:
        if self.hooks:
            offset = next(iter(partitions.values())) if isinstance(partitions, dict) and len(partitions) == 1 else None
            who = self.consumer.config["client_id"]
            self._say(Moment(what, time.monotonic(), who, tuple(sorted(partitions)), offset, **more))

    def _say(self, moment: Moment) -> None:
        for hook in self.hooks:
            hook(moment)


class _Listener(ConsumerRebalanceListener):
    """It hears of rebalances on the client's own thread, while the worker waits in poll()."""

    def __init__(self, worker: Worker):
        self.worker = worker

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.worker.assigned(assigned)

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.worker.gone(Kind.REVOKED, revoked)

    def on_partitions_lost(self, lost: set[TopicPartition]) -> None:
        self.worker.gone(Kind.LOST, lost)
