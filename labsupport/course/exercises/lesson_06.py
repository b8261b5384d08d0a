"""Exercises of lesson 06, why a consumer is thrown out of its group."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.base import counted, until
from labsupport.course.answer import Answer, Failed, Judged, TryAgain
from labsupport.course.exercise import CHECKED, Exercise, Wrong
from labsupport.course.joined import READS, commit, fresh_group, send
from labsupport.course.slow_work import DROPPED, SlowWork
from labsupport.course.stall import witness
from labsupport.course.taken_away import COURSES, Joining
from labsupport.experiments import log

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

# 06-1

POLL_INTERVAL = 1.0  # s
SLOW = 1.5  # s for a record


def _work_off(answer: Answer, lab: "Lesson") -> str:
    """One slow record; quick ones, of which one fails; then slow ones in two partitions, of which one was begun."""
    _run(answer, lab, counts=[1], seconds=6)
    _run(answer, lab, counts=[4], seconds=5, takes=0.0, failing=1)  # the second of the two that a poll hands out
    _run(answer, lab, counts=[2], seconds=5, takes=0.0, failing=1)  # the last one
    _run(answer, lab, counts=[4, 1], earlier={0: 1}, seconds=11)
    return f"A member all the time, with {SLOW:g} s for each record and a poll interval of {POLL_INTERVAL:g} s."


def _run(
    answer: Answer,
    lab: "Lesson",
    counts: Collection[int],
    seconds: float,
    takes: float = SLOW,
    failing: int | None = None,
    earlier: Mapping[int, int] = MappingProxyType({}),
) -> None:
    """Let the learner's function work off so many records in each partition, and look at what it left.

    Where this machine, and not the answer, may have let the poll interval pass, all takes three times as long.
    """
    for slower in (1, 3):
        try:
            with witness() as machine:
                _run_once(answer, lab, counts, seconds * slower, takes * slower, failing, earlier, slower)
            return
        except Judged as judged:
            if slower > 1 or not machine.makes_doubtful(judged.timed):
                raise


def _run_once(
    answer: Answer,
    lab: "Lesson",
    counts: Collection[int],
    seconds: float,
    takes: float,
    failing: int | None,
    earlier: Mapping[int, int],
    slower: int,
) -> None:
    topic, group = lab.topic(CHECKED, partitions=len(counts)), fresh_group(lab, "slow")
    send(lab, topic, [earlier.get(number, 0) for number in range(len(counts))])
    commit(lab, topic, group, earlier)
    consumer = lab.consumer(
        topic, name="check-A", group_id=group, max_poll_records=2,
        max_poll_interval_ms=int(1_000 * POLL_INTERVAL * slower), heartbeat_interval_ms=200, **READS,
    )  # fmt: skip
    until(lambda: consumer.poll(timeout_ms=100) or consumer.assignment(), 15, "the consumer to be let in", every=0)
    send(lab, topic, [count - earlier.get(number, 0) for number, count in enumerate(counts)])
    given = f"{counted(sum(counts), 'record')} in {counted(len(counts), 'partition')}; "
    given += "".join(f"{offset} committed in partition {number} earlier; " for number, offset in earlier.items())
    given += f"slow takes {takes:g} s for each" if failing is None else f"slow raises at record {failing}"
    slow = SlowWork(lab, topic, consumer, counts, earlier, takes, failing)
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
        raise error.but(story=error.fields.get("story", told["story"]))
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
        done, due = slow.done[partition], count if slow.failing is None else slow.failing
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
        if position > (done := slow.done[partition]):
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


def _listener(answer: Answer, lab: "Lesson") -> str:
    """A member with the learner's listener; a second one joins, works on and leaves; at once a third one joins."""
    for course in COURSES:
        Joining(answer, lab, course).play()
    return "Two members joined after each other, twice: nothing was processed twice, and nothing was lost."


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
            Wrong("an error is asked for when the next piece of work is done",
                _wrong_loop("    before = None\n" + THREADED +
                    "            if before:\n"
                    "                before.result()\n"
                    "            before = pool.submit(slow, record)\n"
                    "            consumer.pause(*consumer.assignment())\n"
                    "            while not before.done():\n"
                    "                consumer.poll(timeout_ms=100)\n"
                    "            consumer.resume(*consumer.paused())\n"
                    "            if not before.exception():\n"
                    "                consumer.commit(reading.after(record))"), "as if nothing had happened"),
            Wrong("the number of records done is the next offset",
                _wrong_loop("    from kafka import TopicPartition\n    from kafka.structs import OffsetAndMetadata\n"
                    "    done = {}\n" + THREADED +
                    "            work = pool.submit(slow, record)\n"
                    "            consumer.pause(*consumer.assignment())\n" + POLLING +
                    "            consumer.resume(*consumer.paused())\n"
                    "            work.result()\n"
                    "            place = TopicPartition(record.topic, record.partition)\n"
                    "            done[place] = done.get(place, 0) + 1\n"
                    "            consumer.commit({place: OffsetAndMetadata(done[place], '', -1)})"),
                "and 4 was due"),
            Wrong("the results can be asked for when all is submitted",
                _wrong_loop("    with ThreadPoolExecutor(1) as pool:\n"
                    "        begun = [(record, pool.submit(slow, record)) for record in reading.to_the_end(consumer)]\n"
                    "        for record, work in begun:\n" + POLLING +
                    "            work.result()\n"
                    "            consumer.commit(reading.after(record))"), "before the next one is submitted"),
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
