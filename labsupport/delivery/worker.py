"""The consumer that a service runs: poll, decode, handle, decide, act, commit.

Lesson 05 runs it as a member of a group, lesson 07 kills it, lesson 09 teaches it to handle errors.

It has one thread and one loop. It reports each step to its hooks as a `Moment`, and does not know whether they write a
log, draw a picture or kill it.
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
from labsupport.kafka_fixes import listen, pattern_of, repaired

POLL_MS = 200  # how long a poll waits for records, and so how long a stop can take
# With a pattern the consumer rejoins when a topic appears. If a short poll ends in the middle of that, it may stay
# without partitions: see kafka_fixes.ask_for_topics.
PATTERN_POLL_MS = 5_000
COMMIT_MS = 5_000


class Worker:
    """Handles each record of a consumer's partitions, then commits it; it never commits past an unhandled record.

    `handle` gets `decode(record)`, by default the record. The consumer needs a group, topics or partitions, no
    deserializers, and auto-commit switched off; its owner closes it, and so leaves the group. Each of `hooks` gets each
    Moment; assigned, revoked and lost come on the client's own thread, from a listener that replaces the consumer's.
    `error_handler` deals with records that fail; without one the worker stops there.
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
        self.consumer, self.handle, self.decode, self.hooks = repaired(consumer), handle, decode, tuple(hooks)
        self.error_handler = error_handler
        self.offsets = OffsetTracker()
        self.polled: float | None = None  # when the last poll returned: seconds since 1970
        self._group = consumer.config["group_id"]
        self._generation: int | None = None  # the group's, when the records in hand were delivered
        self._stopping = False

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Work until `stop()`, or until `until()` is true between two polls.

        An error of `decode` or `handle` comes out: its record is not committed, all earlier ones are. With an error
        handler (lesson 09) only DeadLetterError comes out, or the error at which its policy stops. UnreadableError
        comes out at a record that the client cannot read, FencedInstanceIdError if another consumer has the same
        `group_instance_id`: then nothing of this one counts. Raises LabError, before the first poll, if the consumer
        is unsuitable.
        """
        self._check_consumer()
        self._listen()
        while not (self._stopping or until()):
            if self.error_handler:
                self.error_handler.resume(self.consumer)  # partitions whose wait is over
            try:
                polled = self.consumer.poll(timeout_ms=PATTERN_POLL_MS if self._pattern else POLL_MS)
                self.polled = time.time()
                self._generation = self._generation_now()
                for partition, records in polled.items():
                    self.offsets.delivered(partition, [record.offset for record in records])
                    for record in records:
                        # Not after a record that will be retried, nor in a group that has removed this member.
                        if not self._stopping and self.offsets.owns(partition, record.offset) and self._is_member():
                            self._process(partition, record)
            finally:
                self._commit()

    def stop(self) -> None:
        """Stop after the record in hand and commit what is handled. Safe in a signal handler."""
        self._stopping = True

    def _process(self, partition: TopicPartition, record: ConsumerRecord) -> None:
        if for_others(record, self._group):
            self._report_record(Kind.SKIPPED, record)
        else:
            if self.hooks:
                self._report_record(Kind.HANDLING, record)
            try:
                self.handle(self.decode(record))
            except Exception as error:
                self._report_record(Kind.FAILED, record, error=type(error).__name__)
                if self.error_handler is None:
                    raise
                if not self._handle_error(self.error_handler, partition, record, error):
                    return
            else:
                if self.hooks:
                    self._report_record(Kind.HANDLED, record)
                if self.error_handler:
                    self.error_handler.done(partition)
        self.offsets.ack(partition, record.offset)

    def _handle_error(
        self, handler: ErrorHandler, partition: TopicPartition, record: ConsumerRecord, error: Exception
    ) -> bool:
        """Decide and act; returns whether the record is done."""
        if not self._is_member():
            return False  # the partition goes to another member, which decides for itself
        decision, attempts = handler.decide(record, error)
        if decision.overdue:
            self._report_record(Kind.OVERDUE, record, seconds=decision.overdue, error=type(error).__name__)
        if decision.what == STOP:
            raise error
        if decision.what == DEAD_LETTER:
            handler.send_to_dead_letter(record, error, attempts, self._group)
            self._report_record(Kind.DEAD_LETTERED, record, error=type(error).__name__)
            handler.done(partition)
            return True
        self.offsets.take_back(partition, record.offset)
        handler.wait(self.consumer, record)
        self._report_record(Kind.RETRYING if decision.what == RETRY else Kind.PAUSED, record, seconds=decision.seconds)
        return False

    def _check_consumer(self) -> None:
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
        """Whether the records in hand still belong to this member: the client learns within a heartbeat if not.

        Its listener is called only in the next poll(). Manually assigned partitions are never taken away.
        """
        now = self._generation_now()
        return now == self._generation and (now >= 0 or not self.consumer.subscription())

    def _commit(self) -> None:
        due = self.offsets.committable
        if not due:
            return
        self._report(Kind.COMMITTING, due)
        try:
            offsets = {partition: OffsetAndMetadata(offset, "", -1) for partition, offset in due.items()}
            self.consumer.commit(offsets, timeout_ms=COMMIT_MS)
        except (CommitFailedError, RebalanceInProgressError):
            self._report(Kind.REFUSED, due)  # other members have these partitions, and get the records again
        except FencedInstanceIdError:
            self._report(Kind.REFUSED, due)
            raise
        except KafkaTimeoutError:
            self._report(Kind.UNANSWERED, due)  # committed or not: so it is committed again after the next poll
            return
        else:
            self._report(Kind.COMMITTED, due)
        self.offsets.committed(due)

    def gone(self, kind: Kind, partitions: Iterable[TopicPartition]) -> None:
        """Forget partitions that were taken away: other members commit there now."""
        self.offsets.gone(partitions)
        if self.error_handler:
            self.error_handler.gone(partitions)
        self._report(kind, partitions)

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Report partitions that were assigned."""
        self._report(Kind.ASSIGNED, partitions, generation=self.consumer.group_metadata().generation_id)

    def _report_record(self, kind: Kind, record: ConsumerRecord, **more: Any) -> None:
        if self.hooks:
            self._call_hooks(Moment.of(kind, self.consumer.config["client_id"], record, **more))

    def _report(
        self, kind: Kind, partitions: Iterable[TopicPartition] | dict[TopicPartition, int], **more: Any
    ) -> None:
        if self.hooks:
            offset = next(iter(partitions.values())) if isinstance(partitions, dict) and len(partitions) == 1 else None
            who = self.consumer.config["client_id"]
            self._call_hooks(Moment(kind, time.monotonic(), who, tuple(sorted(partitions)), offset, **more))

    def _call_hooks(self, moment: Moment) -> None:
        for hook in self.hooks:
            hook(moment)


class _Listener(ConsumerRebalanceListener):
    """Called by the client during rebalances, on its own thread, while the worker waits in poll()."""

    def __init__(self, worker: Worker):
        self.worker = worker

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.worker.assigned(assigned)

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.worker.gone(Kind.REVOKED, revoked)

    def on_partitions_lost(self, lost: set[TopicPartition]) -> None:
        self.worker.gone(Kind.LOST, lost)
