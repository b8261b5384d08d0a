"""Exercises of lesson 06, why a consumer is thrown out of its group."""

import contextlib
import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka import AsyncConsumerRebalanceListener, ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from kafka.structs import MemberState, OffsetAndMetadata

from labsupport.base import LabError, until
from labsupport.course.answer import Answer, Failed, TryAgain, shown
from labsupport.course.exercise import CHECKED, Exercise, Wrong
from labsupport.course.guard import where
from labsupport.course.slow_work import DROPPED, SlowWork
from labsupport.experiments import log

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

SETTINGS = {"auto_offset_reset": "earliest", "enable_auto_commit": False}


def _send(lab: "Lesson", topic: str, counts: Collection[int]) -> None:
    """So many records in each partition, in one batch; the value of each is its offset."""
    producer = lab.producer(name="check", max_block_ms=3_000, linger_ms=200)
    sent = [
        producer.send(topic, b"%d" % offset, partition=partition)
        for partition, count in enumerate(counts)
        for offset in range(count)
    ]
    producer.flush(timeout=5)
    for sending in sent:
        sending.get(timeout=5)


def _fresh_group(lab: "Lesson", name: str) -> str:
    """The name of a group of the check's that has no members and has committed nothing."""
    group = lab.group(f"{CHECKED}-{name}")
    lab.delete_groups([group])
    return group


# 06-1

POLL_INTERVAL = 1.0  # s
SLOW = 1.5  # s for a record


def _work_off(answer: Answer, lab: "Lesson") -> str:
    """One slow record; a quick one that fails; then several slow ones in two partitions."""
    _run(answer, lab, counts=[1], seconds=6)
    _run(answer, lab, counts=[4], seconds=5, takes=0.0, failing=1)  # the second of the two that a poll hands out
    _run(answer, lab, counts=[3, 1], seconds=11)
    return f"A member all the time, with {SLOW:g} s for each record and a poll interval of {POLL_INTERVAL:g} s."


def _run(
    answer: Answer,
    lab: "Lesson",
    counts: Collection[int],
    seconds: float,
    takes: float = SLOW,
    failing: int | None = None,
) -> None:
    """Let the learner's function work off so many records in each partition, and look at what it left."""
    topic = lab.topic(CHECKED, partitions=len(counts))
    consumer = lab.consumer(
        topic, name="check-A", group_id=_fresh_group(lab, "slow"), max_poll_records=2,
        max_poll_interval_ms=int(1_000 * POLL_INTERVAL), heartbeat_interval_ms=200, **SETTINGS,
    )  # fmt: skip
    until(lambda: consumer.poll(timeout_ms=100) or consumer.assignment(), 15, "the consumer to be let in", every=0)
    _send(lab, topic, counts)
    given = f"{sum(counts)} record{'s' * (sum(counts) > 1)} in {len(counts)} partition{'s' * (len(counts) > 1)}; "
    given += f"slow takes {takes:g} s for each" if failing is None else f"slow raises at record {failing}"
    slow = SlowWork(lab, topic, consumer, sum(counts), takes, failing)
    timed = Answer(answer.value, answer.signature, seconds)
    timed.printed = answer.printed
    error: Failed | None = None
    try:
        with slow.not_printed():
            timed(consumer, _as_function(slow), returns=object)
    except Failed as failed:
        error = failed
    finally:
        slow.ends()
        lab.close_client("check-A")
    _judge_run(slow, error, counts, given)


def _as_function(slow: SlowWork) -> Any:
    def work(record: ConsumerRecord) -> None:  # a function, which is handed over uncopied
        slow(record)

    work.__name__ = "slow"
    return work


def _judge_run(slow: SlowWork, error: Failed | None, counts: Collection[int], given: str) -> None:
    told = {"given": given, "story": "\n".join(slow.story) or "(slow was never called)"}
    if slow.broken:
        raise TryAgain(**slow.broken, **told)
    if error and "the check makes this record fail" not in error.fields.get("says", ""):
        if "had not ended" in error.fields["says"] or "LabError" in error.fields["says"]:
            _judge_standstill(slow, told)
        raise Failed(**({"story": told["story"]} | error.fields))
    if slow.raised and not error:
        raise TryAgain(**DROPPED, **told)
    if slow.left and not error:
        raise TryAgain(
            says=f"slow({slow.left[0]}) was still at work when work_off ended.",
            broken="what a thread has begun is not done, and of its error nobody hears",
            look_at="who waits for the end of each piece of work, before the next one begins?",
            **told,
        )
    for partition, count in enumerate(counts):
        done, due = slow.done.get(partition, 0), count if slow.failing is None else slow.failing
        if done < due:
            _judge_standstill(slow, told)
            raise TryAgain(
                says=f"{done} of {due} records of partition {partition} were processed when work_off ended.",
                broken="each record that lay in the topic is processed",
                look_at="for record in reading.to_the_end(consumer)",
                **told,
            )
        committed = log.committed(slow.lab, slow.topic, slow.group).get(partition, 0)
        if committed != done:
            raise TryAgain(
                says=f"In partition {partition} offset {committed} is committed, and {done} was due.",
                broken="what was processed and not committed is processed once more after a restart"
                if committed < done
                else "what is committed and was not processed never comes back",
                look_at="after each piece of work: consumer.commit(reading.after(record))",
                **told,
            )


def _judge_standstill(slow: SlowWork, told: dict[str, str]) -> None:
    """Why not all records came: some were dropped, or none are handed out any more."""
    for partition, position in sorted(slow.positions.items()):
        if position > (done := slow.done.get(partition, 0)):
            raise TryAgain(
                says=f"Record {done} of partition {partition} was handed out, and slow was never called with it.",
                broken="each record that lay in the topic is processed",
                look_at="what becomes of the records that a poll() in between hands out? "
                "A partition that is paused hands out none",
                **told,
            )
    if slow.paused:
        raise TryAgain(
            says=f"It came to no end, and partition {', '.join(map(str, slow.paused))} is still paused.",
            broken="what is paused hands out nothing, until it is resumed",
            look_at="consumer.resume(*consumer.paused()), after each piece of work",
            **told,
        )


# 06-2

PATIENCE = 4.0  # s that one poll may take, with the listener in it
THREAD = "the client calls a listener on the thread that talks to Kafka: whatever waits there for Kafka waits for ever"
SENDS = "commit_async(offsets) sends, and does not wait; an AsyncConsumerRebalanceListener may await it"
EACH = 3  # records in each partition


@dataclass(frozen=True)
class Course:
    """What happens to a group, by partition: `earlier` is committed before A joins, then A processes `processed`.

    B joins and has partition 2; A goes on with `more`, B processes `by_b` records and leaves. A has partition 2 again,
    and processes `again` records of it; then C joins and has it.
    """

    earlier: dict[int, int]
    processed: tuple[int, ...]
    more: tuple[int, ...]
    by_b: int
    again: int


# What the first course ends with for partition 0 the second begins with: what was kept for another group does harm.
COURSES = (
    Course(earlier={1: 1}, processed=(2, 0, 2), more=(1, 0), by_b=1, again=0),
    Course(earlier={1: 2}, processed=(3, 0, 1), more=(0, 1), by_b=1, again=1),
)


def _listener(answer: Answer, lab: "Lesson") -> str:
    """A member with the learner's listener; a second one joins, works on and leaves; at once a third one joins."""
    for course in COURSES:
        _Joining(answer, lab, course).play()
    return "Two members joined after each other, twice: nothing was processed twice, and nothing was lost."


def _subscribe(consumer: KafkaConsumer, topic: str, listener: Any = None) -> None:
    consumer.subscribe([topic], listener=listener)
    consumer.topics()  # asks: what it subscribes to it has to know before it joins (see DESIGN.md)


class _Other:
    """A member that joins, B or C: it polls in a thread of its own, and keeps what it is handed out."""

    def __init__(self, consumer: KafkaConsumer, topic: str):
        self.consumer, self.topic = consumer, topic
        self.records: list[ConsumerRecord] = []
        self.at_the_end = False  # whether it has partitions, and has been handed out all of them
        self.commits = 0  # of partition 2, when it leaves; 0 is nothing
        self._leaves = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def join(self) -> None:
        """Begin to poll."""
        _subscribe(self.consumer, self.topic)
        self._thread.start()

    def leave(self) -> None:
        """Commit `commits` in partition 2, and leave the group."""
        self._leaves.set()
        self._thread.join(timeout=15)

    def _poll(self) -> None:
        while not self._leaves.is_set():
            for records in self.consumer.poll(timeout_ms=100).values():
                self.records += records
            places = self.consumer.assignment()
            self.at_the_end = bool(places) and all(self.consumer.position(place) >= EACH for place in places)
        if self.commits:
            offsets = {TopicPartition(self.topic, 2): OffsetAndMetadata(self.commits, "", -1)}
            self.consumer.commit(offsets, timeout_ms=5_000)
        self.consumer.close(timeout_ms=5_000)


class _Joining:
    """A has three partitions and the learner's listener. B, and later C, joins and gets partition 2."""

    def __init__(self, answer: Answer, lab: "Lesson", course: Course):
        self.answer, self.lab, self.course = answer, lab, course
        self.topic = lab.topic(CHECKED, partitions=EACH)
        self.group = _fresh_group(lab, "joining")
        self.done: dict[TopicPartition, int] = {}  # the offset of the last record that A has processed
        self.due = dict.fromkeys(range(3), 0) | course.earlier  # by partition, what has to be committed
        self.why: dict[int, str] = {}  # by partition that somebody else has worked on too: who processed what
        self.mixed_up = False  # whether A's listener has asked what another consumer has done
        self.failed: list[str] = []  # why commits of A's failed
        self.story: list[str] = []
        self.a, self.b, self.c = self._consumer("A"), *(_Other(self._consumer(name), self.topic) for name in "BC")

    def play(self) -> None:
        """From the first poll to the last. Raises the verdict at the first thing that is not as it has to be."""
        _send(self.lab, self.topic, [EACH] * 3)
        self._earlier()
        try:
            self._a_alone()
            self._joins("B", self.b)
            self._b_leaves()
            self._joins("C", self.c)
        except LabError as error:  # if it was Kafka that did not answer, the check says so
            raise TryAgain(
                says="A and B did not come to share the topic.",
                story="\n".join([*self.story, error.tried]),
                broken="a listener is called in the middle of a rebalance, which goes on when it has returned",
                look_at="does it call subscribe(), unsubscribe() or poll()? To commit is all that it has to do",
            ) from None
        self.c.leave()
        with contextlib.suppress(KafkaError):  # the listener is called here too, and may raise
            self.a.close(timeout_ms=5_000)

    def _consumer(self, name: str) -> KafkaConsumer:
        settings = SETTINGS | {"group_id": self.group, "heartbeat_interval_ms": 100, "client_id": name}
        # Not the lab's own, which it would close: a listener that waits for ever keeps its consumer from closing.
        return KafkaConsumer(**self.lab.config("consumer", **settings))

    def _earlier(self) -> None:
        """What an earlier run of the service has committed."""
        if self.course.earlier:
            with contextlib.closing(self._consumer("earlier")) as consumer:
                offsets = {
                    TopicPartition(self.topic, partition): OffsetAndMetadata(offset, "", -1)
                    for partition, offset in self.course.earlier.items()
                }
                consumer.commit(offsets, timeout_ms=5_000)
        for partition, offset in self.course.earlier.items():
            self.story.append(f"an earlier run has committed {offset} in partition {partition}")
            self.why[partition] = f"An earlier run has processed partition {partition} up to {offset}"

    def _a_alone(self) -> None:
        def done() -> dict[TopicPartition, int]:
            return dict(self.done)

        def done_of_another() -> dict[TopicPartition, int]:
            self.mixed_up = True
            return {}

        made = self.answer(self.a, done, returns=object)
        if not isinstance(made, ConsumerRebalanceListener | AsyncConsumerRebalanceListener):
            raise TryAgain(
                says="What came back is no rebalance listener.",
                came_back="nothing (None)" if made is None else shown(made),
                look_at="an object of a class that derives from ConsumerRebalanceListener",
            )
        self.answer(self.b.consumer, done_of_another, returns=object)  # one for another consumer, which is not used
        self.mixed_up = False
        self._notice_failed_commits()
        _subscribe(self.a, self.topic, made)
        handed_out: list[ConsumerRecord] = []

        def all_are() -> bool:
            for records in self._poll_a(500).values():
                handed_out.extend(records)
            return len(handed_out) == 3 * EACH - sum(self.course.earlier.values())

        until(all_are, 15, "A to be handed its records", every=0)
        self._processes(self.course.processed)

    def _notice_failed_commits(self) -> None:
        """`commit_async` tells nobody of an error who has not asked."""
        commit_async = self.a.commit_async

        def noticing(*arguments: Any, **named: Any) -> Any:
            return commit_async(*arguments, **named).add_errback(
                lambda error: self.failed.append(f"{type(error).__name__}: {error}")
            )

        self.a.commit_async = noticing

    def _processes(self, counts: Collection[int], first: int = 0) -> None:
        """A processes so many records, in the partitions from `first` on, from where each stands."""
        worked = []
        for partition, count in enumerate(counts, first):
            if count:
                worked.append(f"{count} of partition {partition}")
                self.due[partition] += count
                self.done[TopicPartition(self.topic, partition)] = self.due[partition] - 1
        self.story.append(f"A has processed {', '.join(worked)}" if worked else "A has processed nothing more")

    def _joins(self, name: str, other: _Other) -> None:
        """A hears of it, calls the listener, and joins again; what it is given then it hears after the other."""
        other.join()

        def a_joins_again() -> bool:
            self._poll_a(0)
            return self.a.group_metadata().state == MemberState.REBALANCING

        until(a_joins_again, 15, f"A to hear that {name} has joined")
        until(lambda: other.at_the_end, 15, f"{name} to be let in")
        first = min((record.offset for record in other.records), default=None)
        got = "nothing" if first is None else f"the records from {first} on"
        self.story.append(f"{name} joins: partition 2 is taken from A and given to {name}, which is handed out {got}")
        self._require_committed(f"When {name} had joined")

    def _b_leaves(self) -> None:
        until(lambda: self._poll_a(500) or len(self.a.assignment()) == 2, 15, "A to have what is left", every=0)
        self._processes(self.course.more)
        mine = self.due[2]
        self.due[2] += self.course.by_b
        self.b.commits = self.due[2]
        self.b.leave()
        self.why[2] = f"A had processed partition 2 up to {mine}; then B had it, and processed it up to {self.due[2]}"
        self.story.append(f"B processes {self.course.by_b} of partition 2, commits {self.due[2]} there, and leaves")
        until(lambda: self._poll_a(500) or len(self.a.assignment()) == 3, 15, "A to have all partitions", every=0)
        self.story.append("A has partition 2 again")
        self._require_committed("When B had left")
        self._processes([self.course.again], first=2)
        if self.course.again:
            self.why[2] += f"; then A had it again, and processed it up to {self.due[2]}"

    def _poll_a(self, timeout_ms: int) -> dict:
        """One poll of A, in which the client may call the learner's listener. Raises the verdict on what it raised."""
        causes: list[BaseException] = []

        def poll() -> dict:
            try:
                return self.a.poll(timeout_ms=timeout_ms)
            except KafkaError as error:
                if error.__cause__ is None:
                    raise
                causes.append(error.__cause__)
                return {}

        timed = Answer(poll, "poll()", PATIENCE)
        timed.printed = self.answer.printed
        try:
            records = timed(returns=dict)
        except Failed as failed:
            if "had not ended" not in failed.fields.get("says", ""):
                raise
            raise TryAgain(
                says=f"The listener had not returned after {PATIENCE:g} s.",
                story="\n".join(self.story),
                broken=THREAD,
                look_at=SENDS,
            ) from None
        if causes:
            raise _raised(causes[0], "\n".join(self.story))
        return records

    def _require_committed(self, when: str) -> None:
        """What is committed is what was processed of each partition, by whoever had it."""
        committed = log.committed(self.lab, self.topic, self.group)
        for partition in (2, 0, 1):
            at, due = committed.get(partition, 0), self.due[partition]
            if at != due:
                told = f"offset {at}" if partition in committed else "nothing"
                raise TryAgain(
                    says=f"{when}, {told} was committed in partition {partition}, and {due} was due.",
                    given=self.why.get(partition, f"A had processed {_counted(due)} of partition {partition}"),
                    story="\n".join(self.story),
                    **self._broken(partition, at, due, nothing=partition not in committed),
                )

    def _broken(self, partition: int, at: int, due: int, nothing: bool) -> dict[str, str]:
        """The rule that is broken, and what to look at, if `at` is committed where `due` had to be."""
        twice = f"the records from {at} on, which were processed, are handed out again: twice"
        last = self.done.get(TopicPartition(self.topic, partition))
        if self.failed:
            look_at = "what was it given? TopicPartition → OffsetAndMetadata(offset, text, -1)"
            return {"came_back": f"commit_async failed: {self.failed[-1]}", "broken": twice, "look_at": look_at}
        if self.mixed_up:
            look_at = "each call of listener makes one of its own: which names are outside of the function?"
            return {"broken": "A's listener asked done() of another consumer, B", "look_at": look_at}
        if at > due:
            lost = f"the records from {due} on were handed out to A and not processed: they are lost"
            return {"broken": lost, "look_at": "the position is what was handed out; done() says what was processed"}
        look_at = "what has to be committed is the next offset: that of the last processed record + 1"
        if last is None:
            look_at = "done() lacks a partition of which A has processed nothing: then there is nothing to commit"
        elif at < due and partition == 2 and due > last + 1:
            look_at = "done() knows of partitions that A does not have any more; `revoked` says which it had just now"
            if at == last + 1 and len(self.a.assignment()) == 3 and self.c.records:
                look_at = (
                    "done() knows of A's work alone: has A processed anything of that partition since it came back?"
                )
        elif nothing:
            look_at = "which method does the client call before others get the partitions? Does it commit there?"
            if self.course is not COURSES[0]:
                look_at = "in a first group all was well: what is kept from there, outside of the listener?"
        return {"broken": twice, "look_at": look_at}


def _counted(records: int) -> str:
    return f"{records} record{'s' * (records != 1)}"


def _raised(cause: BaseException, story: str) -> TryAgain:
    says = f"The listener raised {type(cause).__name__}: {cause}"[:160]
    fields = {
        "says": says,
        "where": where(cause),
        "story": story or "(at the very first poll)",
        "broken": "what a listener raises ends poll()",
    }
    if "IO thread" in str(cause):
        return TryAgain(**(fields | {"broken": THREAD, "look_at": SENDS}))
    look_at = "what done() returns, and what commit_async() wants: TopicPartition → OffsetAndMetadata"
    if isinstance(cause, KeyError | UnboundLocalError):
        look_at = "revoked can be empty (it is, at the first join); done() lacks those of which nothing was processed"
    return TryAgain(**(fields | {"look_at": look_at}))


def _wrong_loop(body: str) -> str:
    return (
        "from concurrent.futures import ThreadPoolExecutor\nfrom threading import Thread\n"
        f"from labsupport import reading\n\ndef work_off(consumer, slow):\n{body}"
    )


def _wrong_listener(body: str, assigned: str = "pass", before: str = "") -> str:
    """A listener with this body of on_partitions_revoked, which may use `offsets(revoked)`."""
    return (
        "from kafka import AsyncConsumerRebalanceListener, ConsumerRebalanceListener\n"
        "from kafka.structs import OffsetAndMetadata\n\n"
        "def listener(consumer, done):\n"
        f"{before}"
        "    def offsets(places):\n"
        "        known = done()\n"
        "        return {each: OffsetAndMetadata(known[each] + 1, '', -1) for each in places if each in known}\n"
        "    class Mine(ConsumerRebalanceListener):\n"
        "        def on_partitions_revoked(self, revoked):\n"
        f"            {body}\n"
        "        def on_partitions_assigned(self, assigned):\n"
        f"            {assigned}\n"
        "    return Mine()"
    )


THREADED = (
    "    with ThreadPoolExecutor(1) as pool:\n"
    "        for record in reading.to_the_end(consumer):\n"
)  # fmt: skip
POLLING = "            while not work.done():\n                consumer.poll(timeout_ms=100)\n"

# fmt: off
EXERCISES = (
    Exercise(
        id="06-1",
        title="Slow work, and still a member",
        difficulty="medium",
        minutes=8,
        call="work_off(consumer, slow)",
        stub='''def work_off(consumer, slow):
    """slow(record) for each record, to the end, without being thrown out."""
    return ...''',
        hints=(
            "Which call tells the group that this consumer still makes progress, and who makes it while `slow` is at "
            "work?",
            "Let `slow(record)` run in a thread (`pool.submit`), and poll until it is `done()`. What does a poll hand "
            "out meanwhile, if nothing is paused?",
            "In this order: submit, `pause` all that is assigned, poll until done, `resume`, ask for the `result()`, "
            "commit."),
        reference='''from concurrent.futures import ThreadPoolExecutor
from labsupport import reading


def work_off(consumer, slow):
    """slow(record) for each record, to the end, without being thrown out."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        for record in reading.to_the_end(consumer):
            work = pool.submit(slow, record)
            consumer.pause(*consumer.assignment())
            while not work.done():
                consumer.poll(timeout_ms=100)
            consumer.resume(*consumer.paused())
            work.result()
            consumer.commit(reading.after(record))''',
        explanation="The work runs in a thread, and the loop goes on polling: that keeps the consumer in its group. "
        "What is paused hands out nothing meanwhile, so that no record is dropped. `result()` raises here what `slow` "
        "raised there; only what is really done is committed, by its own offset.",
        wrong=(
            Wrong("heartbeats keep a busy consumer in its group",
                _wrong_loop("    for record in reading.to_the_end(consumer):\n"
                    "        slow(record)\n"
                    "        consumer.commit(reading.after(record))"), "was thrown out"),
            Wrong("small polls are enough, however long one record takes",
                _wrong_loop("    (place,) = consumer.assignment()\n"
                    "    end = consumer.end_offsets([place])[place]\n"
                    "    while consumer.position(place) < end:\n"
                    "        for records in consumer.poll(timeout_ms=200, max_records=1).values():\n"
                    "            slow(records[0])\n"
                    "            consumer.commit(reading.after(records[0]))"), "between two polls"),
            Wrong("a poll in between only says that one is there",
                _wrong_loop(THREADED +
                    "            work = pool.submit(slow, record)\n" + POLLING +
                    "            work.result()\n"
                    "            consumer.commit(reading.after(record))"), "a poll() in between hands out"),
            Wrong("the record's own partition is to be paused, and no other",
                _wrong_loop("    from kafka import TopicPartition\n" + THREADED +
                    "            consumer.pause(TopicPartition(record.topic, record.partition))\n"
                    "            work = pool.submit(slow, record)\n" + POLLING +
                    "            consumer.resume(*consumer.paused())\n"
                    "            work.result()\n"
                    "            consumer.commit(reading.after(record))"), "a poll() in between hands out"),
            Wrong("what was begun is as good as done",
                _wrong_loop(THREADED +
                    "            work = pool.submit(slow, record)\n"
                    "            consumer.commit(reading.after(record))\n"
                    "            consumer.pause(*consumer.assignment())\n" + POLLING +
                    "            consumer.resume(*consumer.paused())\n"
                    "            work.result()"), "more was committed than processed"),
            Wrong("commit() commits what was processed",
                _wrong_loop(THREADED +
                    "            work = pool.submit(slow, record)\n"
                    "            consumer.pause(*consumer.assignment())\n" + POLLING +
                    "            consumer.resume(*consumer.paused())\n"
                    "            work.result()\n"
                    "            consumer.commit()"), "more was committed than processed"),
            Wrong("an error in a thread comes out by itself",
                _wrong_loop("    for record in reading.to_the_end(consumer):\n"
                    "        work = Thread(target=slow, args=[record])\n"
                    "        work.start()\n"
                    "        consumer.pause(*consumer.assignment())\n"
                    "        while work.is_alive():\n"
                    "            consumer.poll(timeout_ms=100)\n"
                    "        consumer.resume(*consumer.paused())\n"
                    "        consumer.commit(reading.after(record))"), "stays in the thread"),
            Wrong("a thread that was started is work that is done",
                _wrong_loop("    for record in reading.to_the_end(consumer):\n"
                    "        Thread(target=slow, args=[record]).start()"), "still at work"),
            Wrong("an error may be dropped, if nothing is committed for it",
                _wrong_loop(THREADED +
                    "            work = pool.submit(slow, record)\n"
                    "            consumer.pause(*consumer.assignment())\n" + POLLING +
                    "            consumer.resume(*consumer.paused())\n"
                    "            if work.exception():\n"
                    "                return\n"
                    "            consumer.commit(reading.after(record))"), "as if nothing had happened"),
            Wrong("more threads do it faster",
                _wrong_loop("    with ThreadPoolExecutor(4) as pool:\n"
                    "        begun = []\n"
                    "        for record in reading.to_the_end(consumer):\n"
                    "            begun.append((record, pool.submit(slow, record)))\n"
                    "        for record, work in begun:\n" + POLLING +
                    "            work.result()\n"
                    "            consumer.commit(reading.after(record))"), "in the order of the offsets"),
            Wrong("a commit for each poll is enough",
                _wrong_loop("    ended = reading.at_the_end(consumer)\n"
                    "    with ThreadPoolExecutor(1) as pool:\n"
                    "        while not ended():\n"
                    "            for records in consumer.poll(timeout_ms=200).values():\n"
                    "                consumer.pause(*consumer.assignment())\n"
                    "                for record in records:\n"
                    "                    work = pool.submit(slow, record)\n"
                    "                    while not work.done():\n"
                    "                        consumer.poll(timeout_ms=100)\n"
                    "                    work.result()\n"
                    "                consumer.resume(*consumer.paused())\n"
                    "                consumer.commit(reading.after(record))"), "after each piece of work"),
            Wrong("a pause ends by itself",
                _wrong_loop(THREADED +
                    "            work = pool.submit(slow, record)\n"
                    "            consumer.pause(*consumer.assignment())\n" + POLLING +
                    "            work.result()\n"
                    "            consumer.commit(reading.after(record))"), "still paused"),
        ),
        other_styles=(
            _wrong_loop("    with ThreadPoolExecutor(1) as pool:\n"
                "        for record in consumer:\n"
                "            consumer.pause(*consumer.assignment())\n"
                "            work = pool.submit(slow, record)\n" + POLLING +
                "            consumer.resume(*consumer.paused())\n"
                "            work.result()\n"
                "            consumer.commit(reading.after(record))"),
            _wrong_loop("    waiting, begun = [], None\n"
                "    places = list(consumer.assignment())\n"
                "    ends = consumer.end_offsets(places)\n"
                "    with ThreadPoolExecutor(1) as pool:\n"
                "        while begun or waiting or any(consumer.position(each) < ends[each] for each in places):\n"
                "            for records in consumer.poll(timeout_ms=50).values():\n"
                "                waiting += records\n"
                "            if begun and begun[1].done():\n"
                "                begun[1].result()\n"
                "                consumer.commit(reading.after(begun[0]))\n"
                "                begun = None\n"
                "            if waiting and not begun:\n"
                "                record = waiting.pop(0)\n"
                "                begun = record, pool.submit(slow, record)"),
            _wrong_loop("    for record in reading.to_the_end(consumer):\n"
                "        errors = []\n"
                "        def work(record=record):\n"
                "            try:\n"
                "                slow(record)\n"
                "            except Exception as error:\n"
                "                errors.append(error)\n"
                "        thread = Thread(target=work)\n"
                "        thread.start()\n"
                "        consumer.pause(*consumer.assignment())\n"
                "        while thread.is_alive():\n"
                "            assert not consumer.poll(timeout_ms=200)\n"
                "        consumer.resume(*consumer.assignment())\n"
                "        if errors:\n"
                "            raise errors[0]\n"
                "        consumer.commit(reading.after(record))"),
        ),
        judge=_work_off,
    ),
    Exercise(
        id="06-2",
        title="Commit before the partition goes",
        difficulty="hard",
        minutes=9,
        call="listener(consumer, done)",
        stub='''from kafka import ConsumerRebalanceListener


def listener(consumer, done):
    """Commits what is done of the partitions that are taken away."""
    return ...''',
        hints=(
            "Which of the two methods is called while nobody else has the partitions yet?",
            "`{place: OffsetAndMetadata(last + 1, \"\", -1)}` for each place of `done()` that is in `revoked`; "
            "then `consumer.commit_async(…)`. Then: what does `done()` say of a partition that was somebody else's "
            "meanwhile?",
            "Keep `dict(done())` when the partitions are assigned. When they are taken away, commit those places alone "
            "whose last record is another one than it was then."),
        reference='''from kafka import ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata


def listener(consumer, done):
    """Commits what is done of the partitions that are taken away."""

    class CommitsFirst(ConsumerRebalanceListener):
        before = {}  # done(), when the partitions were assigned

        def on_partitions_revoked(self, revoked):
            offsets = {}
            for place, last in done().items():
                if place in revoked and last != self.before.get(place):
                    offsets[place] = OffsetAndMetadata(last + 1, "", -1)
            consumer.commit_async(offsets)

        def on_partitions_assigned(self, assigned):
            self.before = dict(done())

    return CommitsFirst()''',
        explanation="`on_partitions_revoked` comes before the consumer joins again, so its commit reaches the broker "
        "before anybody gets the partitions. It runs on the client's own thread: `commit_async` only sends. It commits "
        "what was processed and not the position, and only for the partitions in `revoked`. A partition that came back "
        "may have been processed further by another member; so it commits only what was processed since the "
        "partitions were assigned.",
        wrong=(
            Wrong("a listener may wait for its commit",
                _wrong_listener("consumer.commit(offsets(revoked))"), "the thread that talks to Kafka"),
            Wrong("the result of a commit can be waited for, if not by commit()",
                _wrong_listener("import threading; answered = threading.Event(); "
                    "consumer.commit_async(offsets(revoked), callback=lambda *_: answered.set()); answered.wait()"),
                "had not returned"),
            Wrong("without offsets it commits what was processed",
                _wrong_listener("consumer.commit_async()"), "they are lost"),
            Wrong("the position is what was processed",
                _wrong_listener("consumer.commit_async({each: OffsetAndMetadata(consumer.position(each), '', -1) "
                    "for each in revoked})"), "they are lost"),
            Wrong("there is time until the new assignment",
                _wrong_listener("self.mine = revoked",
                    "consumer.commit_async(offsets(getattr(self, 'mine', ())))"), "before others get the partitions"),
            Wrong("whoever gets the partition knows how far it is processed",
                _wrong_listener("pass"), "before others get the partitions"),
            Wrong("what is committed is the last one processed",
                _wrong_listener("consumer.commit_async({each: OffsetAndMetadata(last, '', -1) "
                    "for each, last in done().items() if each in revoked})"), "+ 1"),
            Wrong("what was processed once is still one's own to commit",
                _wrong_listener("consumer.commit_async(offsets(done()))"), "`revoked` says"),
            Wrong("done() stays as it was",
                _wrong_listener("consumer.commit_async({each: OffsetAndMetadata(last + 1, '', -1) "
                    "for each, last in known.items() if each in revoked})", before="    known = done()\n"),
                "before others get the partitions"),
            Wrong("something was processed of each partition",
                _wrong_listener("consumer.commit_async({each: OffsetAndMetadata(done()[each] + 1, '', -1) "
                    "for each in revoked})"), "KeyError"),
            Wrong("nothing processed means offset 0",
                _wrong_listener("consumer.commit_async({each: OffsetAndMetadata(done().get(each, -1) + 1, '', -1) "
                    "for each in revoked})"), "An earlier run has processed partition 1 up to 1"),
            Wrong("done() knows how far the group is",
                _wrong_listener("consumer.commit_async(offsets(revoked))"), "since it came back"),
            Wrong("a partition that was taken away once is no more one's own",
                _wrong_listener("now = offsets(set(revoked) - set(self.gone)); consumer.commit_async(now); "
                    "self.gone = [*self.gone, *(each for each in revoked if each.partition == 2)]\n"
                    "        gone = ()"), "then A had it again"),
            Wrong("what was committed is remembered for all listeners together",
                _wrong_listener("now = {each: at for each, at in offsets(revoked).items() if SENT.get(each) != at}; "
                    "SENT.update(now); consumer.commit_async(now)", before="    global SENT\n"
                    "    SENT = globals().setdefault('SENT', {})\n"), "what is kept from there"),
            Wrong("there is one consumer in a program",
                _wrong_listener("consumer.commit_async({each: OffsetAndMetadata(last + 1, '', -1) "
                    "for each, last in KNOWN().items() if each in revoked})", before="    global KNOWN\n"
                    "    KNOWN = done\n"), "done() of another consumer"),
            Wrong("what is not known is None",
                _wrong_listener("consumer.commit_async({each: OffsetAndMetadata(last + 1, None, None) "
                    "for each, last in done().items() if each in revoked})"), "commit_async failed"),
        ),
        other_styles=(
            _wrong_listener("now = {each: at for each, at in offsets(revoked).items() if sent.get(each) != at}; "
                "sent.update(now); consumer.commit_async(now, callback=lambda *_: None)", before="    sent = {}\n"),
            "from kafka import AsyncConsumerRebalanceListener\n"
            "from kafka.structs import OffsetAndMetadata\n\n"
            "class Awaits(AsyncConsumerRebalanceListener):\n"
            "    def __init__(self, consumer, done):\n"
            "        self.consumer, self.done, self.since = consumer, done, frozenset()\n"
            "    async def on_partitions_revoked(self, revoked):\n"
            "        last = dict(self.done().items() - self.since)\n"
            "        mine = {p: OffsetAndMetadata(last[p] + 1, '', -1) for p in set(revoked) & set(last)}\n"
            "        if mine:\n"
            "            await self.consumer.commit_async(mine)\n"
            "    async def on_partitions_assigned(self, assigned):\n"
            "        self.since = frozenset(self.done().items())\n"
            "    async def on_partitions_lost(self, lost):\n"
            "        pass\n\n"
            "def listener(consumer, done):\n"
            "    return Awaits(consumer, done)",
        ),
        judge=_listener,
        apart=True,
    ),
)
# fmt: on
