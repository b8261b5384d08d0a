"""Exercises of lesson 06, why a consumer is thrown out."""

import threading
import time
from typing import TYPE_CHECKING, Any

from kafka import AsyncConsumerRebalanceListener, ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from labsupport.base import LabError, until
from labsupport.course.answer import Answer, Failed, TryAgain, shown
from labsupport.course.exercise import CHECKED, Exercise, Wrong, through_kafka
from labsupport.experiments import log

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

SETTINGS = {"auto_offset_reset": "earliest", "enable_auto_commit": False, "heartbeat_interval_ms": 200}

# 06-1

POLL_INTERVAL = 1.0  # seconds
SLOW = 1.8  # seconds: well over the poll interval


def _stays(answer: Answer, lab: "Lesson") -> str:
    """Four quick records; then one that takes longer than the poll interval, and two after it."""
    _work_off(answer, lab, "quick", [0.1] * 4)
    _work_off(answer, lab, "slow", [0.0, SLOW, 0.0])
    return f"A record took {SLOW:g} s, the poll interval is {POLL_INTERVAL:g} s, and it was a member all the time."


class _Work:
    """What the learner's loop is given: takes its time, and looks at what is committed."""

    def __init__(self, consumer: KafkaConsumer, takes: list[float]):
        self.takes, self.handled, self.busy, self.together, self.ahead = takes, [], False, False, False
        self._commit = consumer.commit
        consumer.commit = self.commit

    def commit(self, offsets: Any = None, *rest: Any, **named: Any) -> Any:
        """The consumer's own, which is told apart if a record that it covers is still in hand."""
        committed = max((each.offset for each in (offsets or {}).values()), default=None)
        self.ahead |= self.busy or (committed is not None and committed > len(self.handled))
        return self._commit(offsets, *rest, **named)

    def handle(self, record: ConsumerRecord) -> None:
        self.together |= self.busy
        self.busy = True
        time.sleep(self.takes[record.offset])
        self.handled.append(record.offset)
        self.busy = False


def _work_off(answer: Answer, lab: "Lesson", what: str, takes: list[float]) -> None:
    topic = through_kafka(lab, ({"value": b"%d" % number} for number in range(len(takes)))).topic
    group = lab.group(f"{CHECKED}-{what}")
    if group in lab.groups(group):
        lab.delete_groups([group])
    limits = {"max_poll_interval_ms": int(1_000 * POLL_INTERVAL), "max_poll_records": 1}
    consumer = lab.consumer(topic, name="check", group_id=group, **SETTINGS, **limits)
    work = _Work(consumer, takes)

    def handle(record: ConsumerRecord) -> None:  # a function, which is handed over uncopied
        work.handle(record)

    seconds = ", ".join(f"{each:g} s" for each in takes)
    given = f"{len(takes)} records, which take {seconds}; the poll interval is {POLL_INTERVAL:g} s"
    try:
        answer(consumer, handle, returns=object)
    except Failed as failed:
        if "CommitFailedError" not in failed.fields.get("says", ""):
            raise
        raise TryAgain(
            says="It was thrown out of its group: a commit was refused.",
            given=given,
            came_back=f"handled: {shown(work.handled)}",
            broken="between two polls more time passed than the poll interval",
            look_at="pause() the partitions, and poll() while handle runs in a thread of its own",
        ) from None
    finally:
        generation = consumer.group_metadata().generation_id
        lab.close_client("check")
    committed = log.committed(lab, topic, group).get(0, 0)
    _require(work, generation, committed, len(takes), given)


def _require(work: _Work, generation: int, committed: int, due: int, given: str) -> None:
    came_back = f"handled: {shown(work.handled)}, committed: {committed}"
    if work.together:
        says = "Two records were being handled at the same time."
        raise TryAgain(says=says, given=given, came_back=came_back, look_at="wait for one before you begin the next")
    if work.ahead:
        says = "A commit covered a record that was still being handled."
        raise TryAgain(says=says, given=given, came_back=came_back, look_at="commit when the work is done")
    if work.handled != [*range(due)]:
        raise TryAgain(
            says="Not every record was handled once, in order.",
            given=given,
            came_back=came_back,
            broken="what poll() returns is handed out: if nobody handles it now, nobody will",
            look_at="does poll() return records while you wait? pause() the partitions first, resume() them after",
        )
    if generation != 1:
        raise TryAgain(
            says=f"It had to join its group again: this is generation {generation}.",
            given=given,
            came_back=came_back,
            broken="a member that comes in time is never thrown out, and there is no rebalance",
            look_at="who polls while handle runs?",
        )
    if committed != due:
        says = f"{committed} is committed in the end, and {due} was due."
        raise TryAgain(
            says=says, given=given, came_back=came_back, look_at="one commit for each record, when it is done"
        )


# 06-2

LISTENERS = (ConsumerRebalanceListener, AsyncConsumerRebalanceListener)


def _revocation(answer: Answer, lab: "Lesson") -> str:
    """A real second member joins: with nothing processed, with one partition, with both."""
    trials = ({}, {0: 1}, {0: 0, 1: 1}, {0: 2, 1: 2})
    for number, processed in enumerate(trials):
        _second_joins(answer, lab, number, processed)
    return f"{len(trials)} rebalances: committed is what was processed, and the next owner begins there."


def _second_joins(answer: Answer, lab: "Lesson", number: int, processed: dict[int, int]) -> None:
    """`processed`: the offset of the last processed record, by partition; three records of each are handed out."""
    topic = through_kafka(lab, [{"value": b"x", "partition": each % 2} for each in range(6)], partitions=2).topic
    group = lab.group(f"{CHECKED}-{number}")
    if group in lab.groups(group):
        lab.delete_groups([group])
    words = ", ".join(f"up to {offset} in partition {place}" for place, offset in processed.items()) or "nothing"
    given = f"three records of each of two partitions handed out; processed: {words}; then a second member joins"

    so_far: dict[int, int] = {}

    def last(place: TopicPartition) -> int | None:
        return so_far.get(place.partition)

    first = lab.consumer(topic, name="check", group_id=group, **SETTINGS)
    made = answer(first, last, returns=LISTENERS, asks="a ConsumerRebalanceListener, an object of your class")
    first.subscribe([topic], listener=made)
    try:
        _read_all(first, given)
        so_far |= processed
        _join(lab, topic, group, first, given)
        _require_exact(log.committed(lab, topic, group), {place: last + 1 for place, last in processed.items()}, given)
    finally:
        for name in "check-second", "check":
            lab.close_client(name)


def _read_all(first: KafkaConsumer, given: str) -> None:
    handed: list[ConsumerRecord] = []

    def all_handed_out() -> bool:
        handed.extend(each for records in _polled(first, given, 200).values() for each in records)
        return len(handed) == 6

    try:
        until(all_handed_out, 10, "six records to be handed out", every=0)
    except LabError:
        raise TryAgain(
            says="With this listener the consumer was handed nothing.",
            given=given,
            broken="what a listener calls when partitions are assigned comes before the first record",
            look_at="is there anything to commit when partitions have just been assigned?",
        ) from None


def _join(lab: "Lesson", topic: str, group: str, first: KafkaConsumer, given: str) -> None:
    """Both poll at the same time: of a join in which polls end early this client does not always come back."""
    second = lab.consumer(topic, name="check-second", group_id=group, **SETTINGS)
    enough = threading.Event()

    def in_its_thread() -> None:
        while not (second.assignment() or enough.is_set()):
            second.poll(timeout_ms=1_000)

    def shared() -> bool:
        _polled(first, given, 1_000)
        return len(first.assignment()) == len(second.assignment()) == 1

    joining = threading.Thread(target=in_its_thread)
    joining.start()
    try:
        until(shared, 12, "the second member to be let in", every=0)
    except LabError:
        raise TryAgain(
            says="The rebalance did not come to its end.",
            given=given,
            broken="while a listener waits, nothing of this consumer goes on: neither heartbeat nor commit",
            look_at="do not wait in the listener; commit_async(offsets) does not",
        ) from None
    finally:
        enough.set()
        joining.join()


def _polled(consumer: KafkaConsumer, given: str, timeout_ms: int) -> dict[TopicPartition, list[ConsumerRecord]]:
    try:
        return consumer.poll(timeout_ms=timeout_ms)
    except KafkaError as error:
        cause = error.__cause__ or error
        raise TryAgain(
            says="The listener raised, and poll() with it.",
            given=given,
            came_back=f"{type(cause).__name__}: {cause}"[:300],
            broken="a listener runs on the thread that does the network's work, and may not wait for the network",
            look_at="commit() waits for an answer; commit_async(offsets) does not",
        ) from None


def _require_exact(committed: dict[int, int], due: dict[int, int], given: str) -> None:
    for place in (0, 1):
        there, wanted = committed.get(place, 0), due.get(place, 0)
        if there == wanted:
            continue
        broken = "the next owner begins before what was processed, and does it again"
        look_at = "committed is the next offset to read; and is the commit sent when partitions are revoked?"
        if there > wanted:
            broken = "what is committed and was not processed is lost: the next owner begins behind it"
            look_at = "which offsets does a commit without offsets take?"
        says = f"In partition {place} {there or 'nothing'} is committed, and {wanted or 'nothing'} was due."
        raise TryAgain(says=says, given=given, broken=broken, look_at=look_at)


def _loop(body: str) -> str:
    imports = "import threading\nfrom concurrent.futures import ThreadPoolExecutor\nfrom labsupport import reading\n"
    return f"{imports}\n\ndef work_off(consumer, handle):\n{body}"


def _listener(revoked: str, assigned: str = "pass", base: str = "ConsumerRebalanceListener") -> str:
    word = "async def" if base.startswith("Async") else "def"
    return f"""from kafka import {base}
from kafka.structs import OffsetAndMetadata


def listener(consumer, processed):
    class Commits({base}):
        {word} on_partitions_revoked(self, revoked):
            {revoked}

        {word} on_partitions_assigned(self, assigned):
            {assigned}

    return Commits()"""


OFFSETS = "{p: OffsetAndMetadata(processed(p) + 1, '', -1) for p in revoked if processed(p) is not None}"

# fmt: off
EXERCISES = (
    Exercise(
        id="06-1",
        title="Stay in the group",
        difficulty="medium",
        minutes=8,
        call="work_off(consumer, handle)",
        stub='''def work_off(consumer, handle):
    """Handle and commit each record; stay in the group meanwhile."""
    return ...''',
        hints=(
            "While `handle` runs, who calls `poll()`?",
            "Let `handle` run in a thread (`pool.submit(handle, record)`), and poll until that is `done()`.",
            "Before: `consumer.pause(*consumer.assignment())`, so that these polls hand out nothing. After: "
            "`consumer.resume(*consumer.paused())`, then the commit."),
        reference='''from concurrent.futures import ThreadPoolExecutor
from labsupport import reading


def work_off(consumer, handle):
    """Handle and commit each record; stay in the group meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        for record in reading.to_the_end(consumer):
            consumer.pause(*consumer.assignment())
            work = pool.submit(handle, record)
            while not work.done():
                consumer.poll(timeout_ms=100)
            work.result()
            consumer.resume(*consumer.paused())
            consumer.commit(reading.after(record))''',
        explanation="The work runs in a thread, and the loop goes on polling: that is what the poll interval asks for. "
        "The partitions are paused meanwhile, so these polls return nothing that could be lost. The commit waits.",
        wrong=(
            Wrong("heartbeats are enough",
                _loop("    for record in reading.to_the_end(consumer):\n"
                    "        handle(record)\n"
                    "        consumer.commit(reading.after(record))"), "a commit was refused"),
            Wrong("poll() can be called and its records left alone",
                _loop("    with ThreadPoolExecutor(1) as pool:\n"
                    "        for record in reading.to_the_end(consumer):\n"
                    "            work = pool.submit(handle, record)\n"
                    "            while not work.done():\n"
                    "                consumer.poll(timeout_ms=100, max_records=1)\n"
                    "            consumer.commit(reading.after(record))"), "handled"),
            Wrong("a thread makes it quick, and the commit need not wait",
                _loop("    with ThreadPoolExecutor(1) as pool:\n"
                    "        for record in reading.to_the_end(consumer):\n"
                    "            pool.submit(handle, record)\n"
                    "            consumer.commit(reading.after(record))"), "still being handled"),
            Wrong("each record in a thread of its own",
                _loop("    threads = []\n"
                    "    for record in reading.to_the_end(consumer):\n"
                    "        threads.append(threading.Thread(target=handle, args=(record,)))\n"
                    "        threads[-1].start()\n"
                    "    for thread in threads:\n"
                    "        thread.join()\n"
                    "    consumer.commit(reading.after(record))"), "at the same time"),
            Wrong("joining again is as good as staying",
                "from kafka.errors import CommitFailedError\n" + _loop("    done = set()\n"
                    "    for record in reading.to_the_end(consumer):\n"
                    "        if record.offset not in done:\n"
                    "            handle(record)\n"
                    "            done.add(record.offset)\n"
                    "        try:\n"
                    "            consumer.commit(reading.after(record))\n"
                    "        except CommitFailedError:\n"
                    "            pass"), "generation"),
        ),
        other_styles=(
            _loop("    ended = reading.at_the_end(consumer)\n"
                "    while not ended():\n"
                "        for place, records in consumer.poll(timeout_ms=200).items():\n"
                "            consumer.pause(place)\n"
                "            for record in records:\n"
                "                thread = threading.Thread(target=handle, args=(record,))\n"
                "                thread.start()\n"
                "                while thread.is_alive():\n"
                "                    consumer.poll(timeout_ms=0)\n"
                "                    thread.join(0.1)\n"
                "                consumer.commit(reading.after(record))\n"
                "            consumer.resume(place)"),
        ),
        judge=_stays,
        seconds=15.0,
    ),
    Exercise(
        id="06-2",
        title="Commit on revocation",
        difficulty="hard",
        minutes=9,
        call="listener(consumer, processed)",
        stub='''def listener(consumer, processed):
    """A ConsumerRebalanceListener that commits what is processed."""
    return ...''',
        hints=(
            "Which method is called before the partitions are given to somebody else?",
            "For each revoked partition with something processed: `OffsetAndMetadata(processed(place) + 1, \"\", -1)`.",
            "If there are any: `consumer.commit_async(offsets)`. It goes out before the consumer joins again."),
        reference='''from kafka import ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata


def listener(consumer, processed):
    """A ConsumerRebalanceListener that commits what is processed."""

    class Commits(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked):
            done = {place: processed(place) for place in revoked if processed(place) is not None}
            offsets = {place: OffsetAndMetadata(last + 1, "", -1) for place, last in done.items()}
            if offsets:
                consumer.commit_async(offsets)

        def on_partitions_assigned(self, assigned):
            pass

    return Commits()''',
        explanation="When partitions are revoked, this consumer is still a member, so its commit counts. It is sent "
        "without waiting, before the consumer joins again; the next owner then begins behind what was processed.",
        wrong=(
            Wrong("commit() is the safe one", _listener(f"consumer.commit({OFFSETS})"), "the network"),
            Wrong("what was handed out is what was processed", _listener("consumer.commit_async()"), "is lost"),
            Wrong("committed is the last one processed",
                _listener(f"consumer.commit_async({OFFSETS.replace(' + 1', '')})"), "the next offset to read"),
            Wrong("it is early enough when the new partitions come",
                _listener("pass", f"offsets = {OFFSETS.replace('revoked', 'assigned')}\n"
                    "            if offsets:\n                consumer.commit_async(offsets)"),
                "when partitions are revoked"),
            Wrong("the group commits by itself", _listener("pass"), "does it again"),
            Wrong("0 is as good as nothing",
                _listener(f"consumer.commit_async({OFFSETS.replace(' is not None', '')})"), "was due"),
            Wrong("the class is the listener",
                _listener("pass").replace("return Commits()", "return Commits"), "an object of your class"),
        ),
        other_styles=(
            _listener(f"offsets = {OFFSETS}\n            if offsets:\n"
                "                await consumer.commit_async(offsets)",
                base="AsyncConsumerRebalanceListener"),
            _listener("for p in revoked:\n                if (last := processed(p)) is not None:\n"
                "                    consumer.commit_async({p: OffsetAndMetadata(last + 1, '', -1)})"),
        ),
        judge=_revocation,
        seconds=2.0,
    ),
)
# fmt: on
