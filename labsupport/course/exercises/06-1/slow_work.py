"""The `slow` that the learner's loop calls: it watches membership and commits while it works."""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NoReturn

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from labsupport.course.lab import Lab
from labsupport.experiments.watching import log
from labsupport.kafka_fixes import end_iteration

WENT_ON = {
    "rule": "when slow raises, no later record may be begun; an error stays in its thread until you ask for the result",
    "look_at": "do you call result() of one piece of work before you submit the next one?",
}
DROPPED: dict[str, Any] = {
    "says": "slow raised, and work_off continued as if nothing had happened.",
    "rule": "an error stays in its thread until you ask for the result",
    "look_at": "pool.submit(…) returns a future; its result() raises what slow raised",
}


class SlowWork:
    """A call takes `takes` seconds; at offset `failing` it raises ValueError.

    `counts` has the number of records of each partition, `earlier` how many of them an earlier run committed. The
    first fault is kept in `wrong`, and raises.
    """

    def __init__(
        self,
        lab: Lab,
        topic: str,
        consumer: KafkaConsumer,
        counts: Collection[int],
        earlier: Mapping[int, int],
        takes: float,
        failing: int | None,
    ):
        self.lab, self.topic, self.consumer = lab, topic, consumer
        self.records, self.takes, self.failing = sum(counts), takes, failing
        self.group, self.generation = consumer.config["group_id"], consumer.group_metadata().generation_id
        self.poll_interval = consumer.config["max_poll_interval_ms"] / 1_000  # s
        self.done = {**dict.fromkeys(range(len(counts)), 0), **earlier}  # by partition, the next offset
        self.story: list[str] = []
        self.wrong: dict[str, Any] = {}  # the first fault, as fields of TryAgain
        self.errors: list[Exception] = []  # everything that it raised
        self.earlier, self.begun = sum(earlier.values()), 0  # numbers of records
        self.at_work: list[str] = []
        self.left: list[str] = []  # at the end: what was still at work
        self.paused: list[int] = []  # at the end: partitions
        self.positions: dict[int, int] = {}  # at the end, by partition
        self.raised = self.ended = False
        self._lock = threading.Lock()
        self.polls = 0
        consumer.poll = self._counting(consumer.poll)

    def __call__(self, record: ConsumerRecord) -> None:
        """Do the work. Raises ValueError at the failing record, and RuntimeError when the check has seen enough."""
        if self.ended or self.wrong:
            self._raise(RuntimeError("the check has ended"))
        name = f"record {record.offset} of partition {record.partition}"
        self._note(f"slow({name}) begins")
        self.at_work.append(name)
        self.begun += 1
        if self.raised:
            self._fail(says=f"slow had raised, and then slow({name}) began.", **WENT_ON)
        self._require_member(f"before slow({name}) began", polled=True)
        self._look(record, name)
        if record.offset == self.failing:
            self.raised = True
            self._note(f"slow({name}) raises ValueError")
            self._raise(ValueError("the check makes this record fail"))
        polls = self.polls
        time.sleep(self.takes)
        if self.ended:
            return
        self.at_work.remove(name)
        self._note(f"slow({name}) ends")
        self._require_member(f"while slow({name}) was at work", polled=self.polls > polls)
        self._look(record, name, ends=True)
        self.done[record.partition] = record.offset + 1
        if sum(self.done.values()) == self.records:
            end_iteration(self.consumer)

    def _counting(self, poll: Callable) -> Callable:
        def counting(*arguments: Any, **named: Any) -> Any:
            self.polls += 1
            return poll(*arguments, **named)

        return counting

    def _require_member(self, when: str, polled: bool) -> None:
        """If it polled and was removed all the same, a machine that stood still can be the cause."""
        if self.consumer.group_metadata().generation_id != self.generation:
            self._fail(
                timed=self.poll_interval if polled else False,
                says=f"The consumer was thrown out of its group {when}.",
                rule=f"slow takes {self.takes:g} s, and at most {self.poll_interval:g} s may pass between two polls",
                look_at="what calls consumer.poll() while slow(record) is at work?",
            )

    def _look(self, record: ConsumerRecord, name: str, ends: bool = False) -> None:
        due = self.done[record.partition]
        if record.offset > due:
            self._fail(
                says=f"slow({name}) began before record {due} of that partition was done.",
                rule="each record is handled once, and within a partition in the order of the offsets",
                look_at="what happens to records that a poll() in between returns? And does one piece of work "
                "end before the next one begins?",
            )
        if record.offset < due or (ends and record.offset != due):
            self._fail(
                says=f"slow({name}) was called a second time.",
                rule="each record is handled once",
                look_at="call slow(record) once for each record that poll() returns",
            )
        for partition, committed in log.committed(self.lab, self.topic, self.group).items():
            if committed > self.done.get(partition, 0):
                self._note(f"at this moment {committed} is committed in partition {partition}")
                self._fail(
                    says="At one moment more was committed than processed.",
                    rule="a crash at this moment would lose the records that are committed and not processed",
                    look_at="work that was begun in a thread is not done yet; and commit() without an offset "
                    "commits everything that was delivered",
                )

    def _note(self, line: str) -> None:
        with self._lock:
            self.story.append(line)

    def _fail(self, **fields: Any) -> None:
        with self._lock:
            self.wrong = self.wrong or fields
        self._raise(RuntimeError("the check has seen enough"))

    def _raise(self, error: Exception) -> NoReturn:
        """Raise it; after the check's end, end the learner's thread instead."""
        if self.ended:
            raise SystemExit
        self.errors.append(error)
        raise error

    def ends(self) -> None:
        """Note how the learner's function left the consumer."""
        with contextlib.suppress(KafkaError):  # it may have closed the consumer
            for place in self.consumer.assignment():
                self.positions[place.partition] = self.consumer.position(place, timeout_ms=5_000)
        self.paused = sorted(place.partition for place in self.consumer.paused())
        handed_out, soon = sum(self.positions.values()), time.monotonic() + 1
        while self.begun < handed_out - self.earlier and not (self.wrong or self.raised) and time.monotonic() < soon:
            time.sleep(0.02)  # a thread that it started may not have begun yet
        self.ended, self.left = True, [*self.at_work]

    @contextlib.contextmanager
    def not_printed(self) -> Iterator[None]:
        """For the body of a `with`: an error of `slow` that ends a thread is not printed."""
        before = threading.excepthook

        def hook(thrown: threading.ExceptHookArgs) -> None:
            if thrown.exc_value not in self.errors:
                before(thrown)

        threading.excepthook = hook
        try:
            yield
        finally:
            threading.excepthook = before
