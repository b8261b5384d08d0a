"""A group whose member A has the learner's listener: partition 2 leaves A, comes back, and leaves again."""

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from kafka import AsyncConsumerRebalanceListener, ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from kafka.structs import MemberState

from labsupport.course.exercise import CHECKED
from labsupport.course.exercises.groups import commit, fresh_group, send
from labsupport.course.lab import Lab
from labsupport.course.sandbox import WAITING, where
from labsupport.course.submission import Failed, Submission, TryAgain, shown
from labsupport.delivery.reading import READS
from labsupport.errors import LabError
from labsupport.experiments.watching import log
from labsupport.waiting import until

from .late_member import LateMember, subscribe

PATIENCE = 1.0  # s of processor time for one poll, including the listener
THREAD = "the client calls a listener on the thread that talks to Kafka: waiting for Kafka there never ends"
SENDS = "commit_async(offsets) sends without waiting; an AsyncConsumerRebalanceListener may await it"
EACH = 3  # records in each partition


@dataclass(frozen=True)
class Course:
    """What happens in the group, by partition: `earlier` is committed before A joins, then A processes `processed`.

    B joins and gets partition 2; A processes `more`, B processes `by_b` records and leaves. A gets partition 2 back and
    processes `again` records of it; then C joins and gets it.
    """

    earlier: dict[int, int]
    processed: tuple[int, ...]
    more: tuple[int, ...]
    by_b: int
    again: int


# Partition 0 begins in the second course where it ended in the first: state kept from there does harm.
COURSES = (
    Course(earlier={1: 1}, processed=(2, 0, 2), more=(1, 0), by_b=1, again=0),
    Course(earlier={1: 2}, processed=(3, 0, 1), more=(0, 1), by_b=1, again=1),
)


class Joining:
    """A has three partitions and the learner's listener. B, and later C, joins and gets partition 2."""

    def __init__(self, answer: Submission, lab: Lab, course: Course):
        self.answer, self.lab, self.course = answer, lab, course
        self.topic = lab.topic(CHECKED, partitions=EACH)
        self.group = fresh_group(lab, "joining")
        self.done: dict[TopicPartition, int] = {}  # the offset of the last record that A processed
        self.due = dict.fromkeys(range(3), 0) | course.earlier  # by partition, the offset that must be committed
        self.why: dict[int, str] = {}  # by partition that others processed too: who processed what
        self.mixed_up = False  # whether A's listener asked done() of another consumer
        self.failed: list[str] = []  # why commits of A's failed
        self.story: list[str] = []
        self.a, self.b, self.c = (
            self._consumer("A"),
            *(LateMember(self._consumer(name), self.topic, EACH) for name in "BC"),
        )

    def play(self) -> None:
        """Play the course from the first poll to the last. Raises TryAgain at the first fault."""
        send(self.lab, self.topic, [EACH] * 3)
        self._earlier()
        try:
            self._a_alone()
            self._joins("B", self.b)
            self._b_leaves()
            self._joins("C", self.c)
        except LabError as error:  # if Kafka did not answer, the check says so
            raise TryAgain(
                says="A and B never shared the topic.",
                story="\n".join([*self.story, error.tried]),
                rule="a listener is called in the middle of a rebalance, which continues when the listener returns",
                look_at="does it call subscribe(), unsubscribe() or poll()? It only has to commit",
                timed=True,
            ) from None
        self.c.leave()
        with contextlib.suppress(KafkaError):  # this calls the listener too, which may raise
            self.a.close(timeout_ms=5_000)

    def _consumer(self, name: str) -> KafkaConsumer:
        settings = READS | {"group_id": self.group, "heartbeat_interval_ms": 100, "client_id": name}
        # Not one of the lab's clients, which it would close: a listener that never returns keeps its consumer open.
        return KafkaConsumer(**self.lab.config("consumer", **settings))

    def _earlier(self) -> None:
        """Commit what an earlier run of the service processed."""
        commit(self.lab, self.topic, self.group, self.course.earlier)
        for partition, offset in self.course.earlier.items():
            self.story.append(f"an earlier run committed {offset} in partition {partition}")
            self.why[partition] = f"An earlier run processed partition {partition} up to {offset}"

    def _a_alone(self) -> None:
        def done() -> dict[TopicPartition, int]:
            return dict(self.done)

        def done_of_another() -> dict[TopicPartition, int]:
            self.mixed_up = True
            return {}

        made = self.answer(self.a, done, returns=object)
        if not isinstance(made, ConsumerRebalanceListener | AsyncConsumerRebalanceListener):
            raise TryAgain(
                says="Your function did not return a rebalance listener.",
                came_back="nothing (None)" if made is None else shown(made),
                look_at="return an object of a class that derives from ConsumerRebalanceListener",
            )
        self.answer(
            self.b.consumer, done_of_another, returns=object
        )  # a second listener, for a consumer that is not used
        self.mixed_up = False
        self._notice_failed_commits()
        subscribe(self.a, self.topic, made)
        handed_out: list[ConsumerRecord] = []

        def all_are() -> bool:
            for records in self._poll_a(500).values():
                handed_out.extend(records)
            return len(handed_out) == 3 * EACH - sum(self.course.earlier.values())

        until(all_are, 60, "A to be handed its records", every=0)
        self._processes(self.course.processed)

    def _notice_failed_commits(self) -> None:
        """`commit_async` reports errors only to its callbacks, so add one."""
        commit_async = self.a.commit_async

        def noticing(*arguments: Any, **named: Any) -> Any:
            return commit_async(*arguments, **named).add_errback(
                lambda error: self.failed.append(f"{type(error).__name__}: {error}")
            )

        self.a.commit_async = noticing

    def _processes(self, counts: Collection[int], first: int = 0) -> None:
        """A processes `counts` records in the partitions from `first` on, each from its last processed record."""
        worked = []
        for partition, count in enumerate(counts, first):
            if count:
                worked.append(f"{count} of partition {partition}")
                self.due[partition] += count
                self.done[TopicPartition(self.topic, partition)] = self.due[partition] - 1
        self.story.append(f"A processes {', '.join(worked)}" if worked else "A processes nothing more")

    def _joins(self, name: str, other: LateMember) -> None:
        """A learns of it, calls the listener and rejoins; the other member gets its assignment first."""
        other.join()

        def a_joins_again() -> bool:
            self._poll_a(0)
            return self.a.group_metadata().state == MemberState.REBALANCING

        until(a_joins_again, 60, f"A to hear that {name} has joined")
        until(lambda: other.at_the_end, 60, f"{name} to be let in")
        first = min((record.offset for record in other.records), default=None)
        got = "nothing" if first is None else f"the records from {first} on"
        self.story.append(f"{name} joins: partition 2 moves from A to {name}, which gets {got}")
        self._require_committed(f"When {name} had joined")

    def _b_leaves(self) -> None:
        until(lambda: self._poll_a(500) or len(self.a.assignment()) == 2, 60, "A to have what is left", every=0)
        self._processes(self.course.more)
        mine = self.due[2]
        self.due[2] += self.course.by_b
        self.b.commits = self.due[2]
        self.b.leave()
        self.why[2] = f"A processed partition 2 up to {mine}; then B had it, and processed it up to {self.due[2]}"
        self.story.append(f"B processes {self.course.by_b} of partition 2, commits {self.due[2]} there, and leaves")
        until(lambda: self._poll_a(500) or len(self.a.assignment()) == 3, 60, "A to have all partitions", every=0)
        self.story.append("A gets partition 2 back")
        self._require_committed("When B had left")
        self._processes([self.course.again], first=2)
        if self.course.again:
            self.why[2] += f"; then A had it again, and processed it up to {self.due[2]}"

    def _poll_a(self, timeout_ms: int) -> dict:
        """One poll of A, which may call the learner's listener. Raises TryAgain for what the listener raised."""
        causes: list[BaseException] = []

        def poll() -> dict:
            try:
                return self.a.poll(timeout_ms=timeout_ms)
            except KafkaError as error:
                if error.__cause__ is None:
                    raise
                causes.append(error.__cause__)
                return {}

        timed = Submission(poll, "poll()", PATIENCE)
        timed.printed = self.answer.printed
        try:
            records = timed(returns=dict)
        except Failed as failed:
            if "had not ended" not in failed.fields.get("says", ""):
                raise
            raise TryAgain(
                says=f"The listener had not returned after {PATIENCE + WAITING:g} s.",
                story="\n".join(self.story),
                rule=THREAD,
                look_at=SENDS,
                timed=True,
            ) from None
        if causes:
            raise _raised(causes[0], "\n".join(self.story))
        return records

    def _require_committed(self, when: str) -> None:
        """Raise TryAgain unless each partition's committed offset is the one after its last processed record."""
        committed = log.committed(self.lab, self.topic, self.group)
        for partition in (2, 0, 1):
            at, due = committed.get(partition, 0), self.due[partition]
            if at != due:
                told = f"offset {at}" if partition in committed else "nothing"
                raise TryAgain(
                    says=f"{when}, {told} was committed in partition {partition}; it should be {due}.",
                    given=self.why.get(partition, f"A processed {_counted(due)} of partition {partition}"),
                    story="\n".join(self.story),
                    **self._broken(partition, at, due, nothing=partition not in committed),
                )

    def _broken(self, partition: int, at: int, due: int, nothing: bool) -> dict[str, Any]:
        """The rule that is broken, and what to look at, if `at` is committed instead of `due`."""
        twice = f"the records from {at} on were processed and will be delivered again"
        last = self.done.get(TopicPartition(self.topic, partition))
        if self.failed:
            look_at = "what did you give it? TopicPartition → OffsetAndMetadata(offset, text, -1)"
            return {"came_back": f"commit_async failed: {self.failed[-1]}", "rule": twice, "look_at": look_at}
        if self.mixed_up:
            look_at = "each call of listener() must make its own listener: which names are outside the function?"
            return {"rule": "A's listener called done() of another consumer, B", "look_at": look_at}
        if at > due:
            lost = f"the records from {due} on were delivered to A and not processed: they are lost"
            return {"rule": lost, "look_at": "the position says what was delivered; done() says what was processed"}
        look_at = "commit the next offset: that of the last processed record + 1"
        if last is None:
            look_at = "done() leaves out a partition of which A processed nothing: then there is nothing to commit"
        elif at < due and partition == 2 and due > last + 1:
            look_at = "done() also lists partitions that A has lost; `revoked` says which ones it loses now"
            if at == last + 1 and len(self.a.assignment()) == 3 and self.c.records:
                look_at = (
                    "done() knows only A's own work: has A processed anything of that partition since it came back?"
                )
        elif nothing:
            look_at = "which method does the client call before others get the partitions? Does it commit there?"
            if self.course is not COURSES[0]:
                look_at = "in a first group all was well: what is kept from there, outside the listener?"
        return {"rule": twice, "look_at": look_at}


def _counted(records: int) -> str:
    return f"{records} record{'s' * (records != 1)}"


def _raised(cause: BaseException, story: str) -> TryAgain:
    says = f"The listener raised {type(cause).__name__}: {cause}"[:160]
    fields: dict[str, Any] = {
        "says": says,
        "where": where(cause),
        "story": story or "(at the very first poll)",
        "rule": "an error in a listener ends poll()",
    }
    if "IO thread" in str(cause):
        return TryAgain(**(fields | {"rule": THREAD, "look_at": SENDS}))
    look_at = "what does done() return, and what does commit_async() need? TopicPartition → OffsetAndMetadata"
    if isinstance(cause, KeyError | UnboundLocalError):
        look_at = (
            "`revoked` is empty at the first join, and done() leaves out partitions of which nothing was processed"
        )
    return TryAgain(**(fields | {"look_at": look_at}))
