"""The consumer that a service runs: poll, decode, handle, commit. Lesson 05 runs it as a member, lesson 07 kills it.

One thread, one loop. What it does it tells, moment by moment, to the hooks it was given; it does not know whether they
write a log, draw a picture or kill it.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import CommitFailedError, KafkaTimeoutError, RebalanceInProgressError

from labsupport.events.reading import after

POLL_MS = 200  # how long one poll waits for records, and so how long a request to stop goes unheard
COMMIT_MS = 5_000


@dataclass(frozen=True)
class Moment:
    """Something that a worker did.

    `what`: handling, handled (a record); committing, committed, refused, unanswered (a commit); assigned, revoked, lost
    (partitions). `at`: seconds of the monotonic clock, which all processes of a machine share. `who`: the consumer's
    client_id. `places`: the partitions it is about; `offset`: the record's; `key`: the record's, as text. `generation`:
    the group's, which counts its rebalances; of assigned only.
    """

    what: str
    at: float
    who: str
    places: tuple[TopicPartition, ...] = ()
    offset: int | None = None
    key: str = ""
    generation: int | None = None


class Worker:
    """Handles each record of a consumer's partitions, then commits it; never more than what is handled.

    `decode(record)` makes what `handle` gets; without it that is the record itself. The consumer needs a group, and
    auto-commit switched off; whoever made it closes it, and so leaves the group. Each of `hooks` is called with each
    Moment; those of assigned, revoked and lost come on the client's own thread.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        handle: Callable[[Any], object],
        *,
        decode: Callable[[ConsumerRecord], Any] = lambda record: record,
        hooks: Iterable[Callable[[Moment], None]] = (),
    ):
        self.consumer, self.handle, self.decode, self.hooks = consumer, handle, decode, tuple(hooks)
        self._due: dict = {}  # what is handled and not committed yet: the next offset, by partition
        self._stopping = False

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Work until `stop()`, or until `until()` says so between two polls. What `handle` raises comes out."""
        if topics := self.consumer.subscription():
            self.consumer.subscribe(list(topics), listener=_Listener(self))
        while not (self._stopping or until()):
            try:
                for records in self.consumer.poll(timeout_ms=POLL_MS).values():
                    for record in records:
                        if not self._stopping:
                            self._work_off(record)
            finally:
                self._commit()

    def stop(self) -> None:
        """End after the record in hand, with everything committed that is handled. For a signal handler too."""
        self._stopping = True

    def _work_off(self, record: ConsumerRecord) -> None:
        self._tell_of("handling", record)
        self.handle(self.decode(record))
        self._tell_of("handled", record)
        self._due |= after(record)

    def _commit(self) -> None:
        if not self._due:
            return
        places = tuple(self._due)
        self._tell("committing", places)
        try:
            self.consumer.commit(self._due, timeout_ms=COMMIT_MS)
        except (CommitFailedError, RebalanceInProgressError):
            self._tell("refused", places)  # others have these partitions, and get the records again
        except KafkaTimeoutError:
            self._tell("unanswered", places)  # committed or not: nobody knows, so it is said again after the next poll
            return
        else:
            self._tell("committed", places)
        self._due = {}

    def gone(self, what: str, places: Iterable[TopicPartition]) -> None:
        """Partitions that were taken away: others commit there now."""
        self._tell(what, tuple(sorted(places)))
        self._due = {place: offset for place, offset in self._due.items() if place not in places}

    def assigned(self, places: Iterable[TopicPartition]) -> None:
        """Partitions that were given."""
        self._tell("assigned", tuple(sorted(places)), generation=self.consumer.group_metadata().generation_id)

    def _tell_of(self, what: str, record: ConsumerRecord) -> None:
        place = TopicPartition(record.topic, record.partition)
        key = "" if record.key is None else record.key.decode(errors="backslashreplace")
        self._tell(what, (place,), offset=record.offset, key=key)

    def _tell(self, what: str, places: tuple[TopicPartition, ...], **more: Any) -> None:
        moment = Moment(what, time.monotonic(), self.consumer.config["client_id"], places, **more)
        for hook in self.hooks:
            hook(moment)


class _Listener(ConsumerRebalanceListener):
    """It hears of rebalances on the client's own thread, while the worker waits in poll()."""

    def __init__(self, worker: Worker):
        self.worker = worker

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.worker.assigned(assigned)

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.worker.gone("revoked", revoked)

    def on_partitions_lost(self, lost: set[TopicPartition]) -> None:
        self.worker.gone("lost", lost)
