"""Exercises of lesson 04, how a consumer keeps its place."""

from collections import Counter
from collections.abc import Iterator
from itertools import count, product
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

from labsupport.base import progress, until
from labsupport.course.answer import Answer, Failed, TryAgain, shown
from labsupport.course.exercise import CHECKED, Exercise, Wrong, nothing_left, through_kafka
from labsupport.course.joined import joined
from labsupport.events import reading
from labsupport.experiments import log
from labsupport.experiments.lag import Place

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

# 04-1


def _lag(answer: Answer, lab: "Lesson") -> str:
    """All small logs with all that can be committed, the smallest first; then what real groups still get to read."""
    logs = [
        Place(0, begin, end, committed)
        for begin, end, committed in product(range(4), range(6), (None, *range(8)))
        if begin <= end
    ]
    for place in sorted(logs, key=_simplicity):
        _compare(answer, place)
    for place, got in _real_groups(lab):
        if place.lag != got:
            raise AssertionError(f"{place} got {got}")
        _compare(answer, place)
    return f"Right for all {len(logs)} small logs, and it is what four real groups then read."


def _simplicity(place: Place) -> tuple[int, ...]:
    """What the log holds before what it does not; whole logs before shortened and empty ones, short ones first."""
    committed = -1 if place.committed is None else place.committed
    shortened, empty = place.begin > 0, place.begin == place.end
    return (place.out_of_range, committed > place.end, shortened, empty, committed >= 0, place.end, committed)


def _compare(answer: Answer, place: Place) -> None:
    came_back = answer(place.begin, place.end, place.committed, returns=int)
    if came_back == place.lag:
        return
    held = (
        f"the log holds the offsets {place.begin} to {place.end - 1}" if place.end > place.begin else "the log is empty"
    )
    if place.committed is None:
        broken, look_at = "nothing is committed: no record counts as done", "then every record that is there is left"
    elif place.committed < place.begin:
        broken = f"the records before {place.begin} are gone: nobody can read them any more"
        look_at = "from which offset can it go on at the earliest?"
    elif place.committed > place.end:
        broken = f"the log has no offset {place.committed}: it is another log than the one that was read"
        look_at = "take it as if nothing had been committed: which records are left then?"
    else:
        broken = f"committed is the next one to read, and {place.end} is the next one to be written"
        look_at = "how many lie from `committed` up to, but without, `end`?"
    raise TryAgain(
        says=f"The lag is {place.lag} here.",
        given=answer.called(place.begin, place.end, place.committed),
        came_back=shown(came_back),
        story=held,
        broken=broken,
        look_at=look_at,
    )


def _real_groups(lab: "Lesson") -> Iterator[tuple[Place, int]]:
    """Groups whose place is known, with the number of records that each of them reads."""
    topic = through_kafka(lab, ({"value": b"%d" % number} for number in range(8))).topic
    lab.admin().delete_records({TopicPartition(topic, 0): 3})
    for number, committed in enumerate((None, 5, 1, 40)):
        group = _group(lab, number, {0: committed} if committed is not None else {}, topic)
        consumer = _reader(lab, topic, group)
        yield Place(0, 3, 8, committed), sum(1 for _ in reading.to_the_end(consumer))


def _group(lab: "Lesson", number: object, committed: dict[int, int], topic: str) -> str:
    """The name of a new group of the check's, which has committed these offsets."""
    group = lab.group(f"{CHECKED}-{number}")
    lab.delete_groups([group])
    if committed:
        offsets = {TopicPartition(topic, number): OffsetAndMetadata(at, "", -1) for number, at in committed.items()}
        lab.admin().alter_group_offsets(group, offsets)
    return group


def _reader(lab: "Lesson", topic: str, group: str) -> KafkaConsumer:
    """A consumer of all partitions of the topic that commits for `group`, without waiting to be let in."""
    settings = {"group_id": group, "auto_offset_reset": "earliest", "enable_auto_commit": False}
    consumer = lab.consumer(name="check", **settings)
    consumer.assign([TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))])
    return consumer


# 04-2

RECORDS = 7  # of the two partitions together; the first of each is gone, so that offsets are not counts
GONE = 2
# What a handler may raise: an answer that knows one kind of error only does not pass.
ERRORS = (ValueError, KeyError, RuntimeError, OSError, TypeError, LookupError, ZeroDivisionError)


def _commit(answer: Answer, lab: "Lesson") -> str:
    """Two partitions, whose first records are gone: all goes well, or the handler fails, or a commit; and a restart."""
    records = [{"value": b"%d" % number, "partition": number % 2} for number in range(-GONE, RECORDS)]
    topic = through_kafka(lab, records, partitions=2).topic
    lab.admin().delete_records({TopicPartition(topic, number): 1 for number in (0, 1)})
    for failing in (None, *range(RECORDS)):
        _run_and_restart(answer, lab, topic, failing)
    for nth in (1, RECORDS):
        _a_commit_fails(answer, lab, topic, nth)
    return "Never more committed than processed, and exactly that much in the end, whatever failed."


class _Handler:
    """What the learner's loop is given: processes records, fails at one of them, and looks at what is committed."""

    def __init__(self, lab: "Lesson", topic: str, group: str, failing: int | None = None):
        self.lab, self.topic, self.group, self.failing = lab, topic, group, failing
        self.before = {0: 1, 1: 1} | log.committed(lab, topic, group)
        self.processed: list[ConsumerRecord] = []
        self.story: list[str] = []
        self.ahead = False  # whether more was committed than processed, at any moment
        self.failed = False  # whether it raised

    def __call__(self, record: ConsumerRecord) -> None:
        self.story.append(f"handle(record {record.offset} of partition {record.partition})")
        self._require_not_ahead()
        number = int(record.value)
        if number == self.failing and not self.failed:  # once: it is not for the loop to call it again
            error = ERRORS[number % len(ERRORS)]
            self.story[-1] += f" raises {error.__name__}"
            self.failed = True
            raise error("the check makes this record fail")
        self.processed.append(record)

    @property
    def skipped(self) -> bool:
        """Whether the loop went on without the record that failed: what becomes of it shows after a restart."""
        again = any(int(record.value) == self.failing for record in self.processed)
        return self.failed and not again and "raises" not in self.story[-1]

    @property
    def done(self) -> dict[int, int]:
        """By partition, the offset after the last record that was processed; the first that is left if none was."""
        return self.before | {record.partition: record.offset + 1 for record in self.processed}

    @property
    def all_done(self) -> bool:
        """Whether none of the records is left."""
        return sum(self.done.values()) >= RECORDS + GONE

    def _require_not_ahead(self) -> None:
        for partition, committed in log.committed(self.lab, self.topic, self.group).items():
            if committed > self.done[partition]:
                self.story.append(f"at this moment {committed} is committed in partition {partition}")
                self.ahead = True
                raise RuntimeError("more is committed than processed")


def _run_and_restart(answer: Answer, lab: "Lesson", topic: str, failing: int | None) -> None:
    group = _group(lab, "commit", {}, topic)
    handler = _Handler(lab, topic, group, failing)
    what = f"{RECORDS} records in two partitions"
    given = f"{what}; handle raises at value {failing}" if failing is not None else what
    _call(answer, lab, topic, group, handler, given)
    if failing is None and len(handler.processed) < RECORDS:
        raise TryAgain(
            says=f"{len(handler.processed)} of {RECORDS} records were handled.",
            given=given,
            story="\n".join(handler.story) or "(handle was never called)",
            broken="the function ends when all that lay in the topic has been handled",
            look_at="for record in reading.to_the_end(consumer)",
        )
    _require_exact(lab, handler, given)
    again = _Handler(lab, topic, group)
    _call(answer, lab, topic, group, again, "the same again: what it does after a restart")
    counts = Counter(int(record.value) for record in (*handler.processed, *again.processed))
    if twice := [number for number, count in counts.items() if count > 1]:
        raise TryAgain(
            says=f"Value {twice[0]} was processed {counts[twice[0]]} times.",
            given=given,
            story="\n".join([*handler.story, "restart", *again.story]),
            look_at="one call of handle(record) for each record",
        )
    if lost := [number for number in range(RECORDS) if not counts[number]]:
        raise TryAgain(
            says=f"After a restart value {lost[0]} was still not processed: it is lost.",
            given=given,
            story="\n".join([*handler.story, "restart", *again.story]),
            look_at="after an error the function ends, with the error; it goes on with no other record",
        )
    _require_exact(lab, again, f"{given}; then a restart")


def _a_commit_fails(answer: Answer, lab: "Lesson", topic: str, nth: int) -> None:
    """The consumer's commit number `nth` fails, once: the error comes out, or it is committed all the same."""
    group = _group(lab, "commit", {}, topic)
    handler = _Handler(lab, topic, group)
    given = f"{RECORDS} records in two partitions; commit number {nth} raises KafkaTimeoutError"
    if not _call(answer, lab, topic, group, handler, given, failing_commit=nth):
        _require_exact(lab, handler, given, look_at="who catches the error of a commit has to commit again")


def _call(
    answer: Answer,
    lab: "Lesson",
    topic: str,
    group: str,
    handler: _Handler,
    given: str,
    failing_commit: int = 0,
) -> bool:
    """Run the learner's loop to its end; whether the error that the check made came out of it."""
    consumer = _reader(lab, topic, group)
    if failing_commit:
        _let_fail(consumer, failing_commit, handler.story)
    if handler.all_done:
        nothing_left(consumer)

    def handle(record: ConsumerRecord) -> None:  # a function, which is handed over uncopied
        handler(record)
        if handler.all_done:
            nothing_left(consumer)

    raised = False
    try:
        answer(consumer, handle, returns=object)
    except Failed as failed:
        raised = "the check makes this" in failed.fields.get("says", "")
        if not handler.ahead and not raised:
            raise
    finally:
        lab.close_client("check")
    if handler.ahead:
        raise TryAgain(
            says="At one moment more was committed than processed.",
            given=given,
            story="\n".join(handler.story),
            broken="a crash at this moment would lose what is committed and not processed",
            look_at="which call commits, and what is not processed yet at that line?",
        )
    if handler.failed and not raised and not handler.skipped:
        raise TryAgain(
            says="handle raised, and consume returned as if nothing had happened.",
            given=given,
            story="\n".join(handler.story),
            look_at="let the error out; `finally` can still commit what was processed",
        )
    return raised


def _let_fail(consumer: KafkaConsumer, nth: int, story: list[str]) -> None:
    """Let the consumer's commit number `nth` fail as it does when no answer comes; nothing is committed then."""
    commit, calls = consumer.commit, count(1)

    def failing(*arguments: Any, **named: Any) -> None:
        if next(calls) == nth:
            story.append("commit raises KafkaTimeoutError")
            raise KafkaTimeoutError("the check makes this commit fail")
        commit(*arguments, **named)

    consumer.commit = failing


def _require_exact(lab: "Lesson", handler: _Handler, given: str, look_at: str = "") -> None:
    """Raise TryAgain unless in each partition just what was processed is committed."""
    committed = log.committed(lab, handler.topic, handler.group)
    for partition, due in handler.done.items():
        found = committed.get(partition, 1)
        if found == due:
            continue
        broken = "what was processed and not committed is processed once more after a restart"
        advice = (
            "the next one to read is committed, the record's offset + 1, for each partition, also when handle raises"
        )
        if found > due:
            broken = "what is committed and was not processed never comes back"
            advice = "commit() without arguments commits all that was handed out, and a skipped record counts as done"
        raise TryAgain(
            says=f"In partition {partition} offset {found} is committed, and {due} was due."
            if partition in committed
            else f"In partition {partition} nothing is committed, and {due} was due.",
            given=given,
            story="\n".join(handler.story),
            broken=broken,
            look_at=look_at or advice,
        )


# 04-3


def _why(answer: Answer, lab: "Lesson") -> str:
    """Real consumers that get nothing, each for a reason of its own; the learner sees the evidence only."""
    for right, evidence in progress("Consumers that get nothing", 11, over=_silences(lab)):
        came_back = answer(evidence, returns=str, asks=f"one of {', '.join(REASONS)}")
        if came_back != right:
            raise TryAgain(
                says=f"The reason is {right!r} here.",
                given="\n".join(f"{name} = {value}" for name, value in evidence.items()),
                came_back=shown(came_back),
                broken=REASONS[right],
                look_at=LOOK_AT[right],
            )
    return "Right for consumers that got nothing, for each of the reasons."


REASONS = {
    "no topic": "the topic does not exist",
    "others": "it got no partition, and the group has members that have them",
    "empty": "the log holds no record at all",
    "all read": "what is committed is the log's end: the group has read everything",
    "at the end": "nothing valid was committed, and its position is the end: auto_offset_reset is latest",
}


LOOK_AT = {
    "no topic": "what can `topic_exists` say before anything else?",
    "others": "which partitions has it? Look at `assigned` before the offsets",
    "empty": "what do `begin` and `end` say together?",
    "all read": "compare `committed` with `end`",
    "at the end": "is `committed` an offset that the log holds, from `begin` to `end`?",
}


def _silences(lab: "Lesson") -> Iterator[tuple[str, dict[str, Any]]]:
    """Reasons, and the evidence of consumers that got nothing for that reason; the quickest to make come first."""
    yield "no topic", _evidence(lab, lab.namespace + "nowhere", _group(lab, "why", {}, ""), "latest")
    topic = lab.topic(CHECKED)
    yield "empty", _evidence(lab, topic, _group(lab, "why", {}, topic), "earliest")
    topic = _holding(lab, 9)
    yield "all read", _evidence(lab, topic, _group(lab, "why", {0: 9}, topic), "earliest")
    yield "at the end", _evidence(lab, topic, _group(lab, "why", {}, topic), "latest")
    yield "at the end", _evidence(lab, topic, _group(lab, "why", {0: 99}, topic), "latest")
    lab.admin().delete_records({TopicPartition(topic, 0): 6})
    yield "at the end", _evidence(lab, topic, _group(lab, "why", {0: 3}, topic), "latest")
    yield "all read", _evidence(lab, topic, _group(lab, "why", {0: 9}, topic), "latest")
    yield "others", _evidence(lab, topic, _group(lab, "why", {0: 9}, topic), "latest", other="A")
    lab.admin().delete_records({TopicPartition(topic, 0): 9})
    yield "empty", _evidence(lab, topic, _group(lab, "why", {0: 2}, topic), "earliest")
    topic = _holding(lab, 5, partitions=2)
    yield "all read", _evidence(lab, topic, _group(lab, "why", {0: 5}, topic), "earliest", other="D")
    topic = _holding(lab, 12)
    yield "at the end", _evidence(lab, topic, _group(lab, "why", {0: 13}, topic), "latest")


def _holding(lab: "Lesson", count: int, partitions: int = 1) -> str:
    """The name of a topic with that many records in partition 0."""
    return through_kafka(lab, ({"value": b"x", "partition": 0} for _ in range(count)), partitions=partitions).topic


def _evidence(lab: "Lesson", topic: str, group: str, reset: str, other: str = "") -> dict[str, Any]:
    """What is known of a consumer, C, in that group after it got nothing; with `other`, there is another member."""
    exists = topic in lab.topics(topic)
    names = [*filter(None, [other]), "C"]
    with joined(lab, topic, group, names, auto_offset_reset=reset) as consumers:
        if exists and not other:
            _settle(consumers[-1], topic)
        assigned = sorted(place.partition for place in consumers[-1].assignment())
        places = lab.lag(topic, group, consumers[-1]).places if exists else [None]
        offsets = {name: getattr(places[0], name, None) for name in ("begin", "position", "committed", "end")}
        return {"topic_exists": exists, "assigned": assigned, "members": len(consumers)} | offsets


def _settle(consumer: KafkaConsumer, topic: str) -> None:
    """Poll until the position is the end: an offset out of range is noticed with the first answer to a fetch."""
    place = TopicPartition(topic, 0)
    end = consumer.end_offsets([place])[place]
    until(
        lambda: not consumer.poll(timeout_ms=50) and consumer.position(place) == end, 20, "its position to be the end"
    )


def _wrong_lag(body: str) -> str:
    return f"def lag(begin, end, committed):\n    {body}"


def _wrong_loop(body: str) -> str:
    kafka = "from kafka import TopicPartition\nfrom kafka.structs import OffsetAndMetadata\n"
    return f"{kafka}from labsupport import reading\n\ndef consume(consumer, handle):\n{body}"


NO_TOPIC = "    if not e['topic_exists']:\n        return 'no topic'\n"
OTHERS = "    if not e['assigned']:\n        return 'others'\n"
EMPTY = "    if e['begin'] == e['end']:\n        return 'empty'\n"


def _wrong_reason(body: str) -> str:
    return f"def why_nothing(e):\n{body}"


# fmt: off
EXERCISES = (
    Exercise(
        id="04-1",
        title="How much is left?",
        difficulty="easy",
        minutes=5,
        call="lag(begin, end, committed)",
        stub='''def lag(begin, end, committed):
    """How many records lie there that the group has not committed."""
    return ...''',
        hints=(
            "With begin 0, end 6 and committed 4: which offsets are still to be read?",
            "Nothing committed, or an offset that the log does not hold: then everything that is there is left."),
        reference='''def lag(begin, end, committed):
    """How many records lie there that the group has not committed."""
    if committed is None or not begin <= committed <= end:
        committed = begin
    return end - committed''',
        explanation="`end` is the offset that the next record will get, `committed` the next one to read: their "
        "difference is what is left. Without a valid committed offset it is all that the log still holds.",
        wrong=(
            Wrong("committed is the last one processed",
                _wrong_lag("return end - begin if committed is None else end - committed - 1"),
                "committed is the next one to read"),
            Wrong("end is the last record",
                _wrong_lag("return end - begin if committed is None else end - committed + 1"),
                "committed is the next one to read"),
            Wrong("nothing committed means nothing to do",
                _wrong_lag("return end - committed if committed else 0"), "no record counts as done"),
            Wrong("what a log had committed before counts when nothing is",
                "seen = {}\n\n" + _wrong_lag("if committed is None:\n"
                    "        committed = seen.get((begin, end))\n"
                    "    if committed is None or not begin <= committed <= end:\n"
                    "        committed = begin\n"
                    "    seen[begin, end] = committed\n"
                    "    return end - committed"), "remembers something of earlier calls"),
            Wrong("what is committed is always in the log",
                _wrong_lag("return end - (begin if committed is None else committed)"),
                "nobody can read them any more"),
        ),
        other_styles=(
            _wrong_lag("return len(range(committed if committed in range(begin, end + 1) else begin, end))"),
        ),
        judge=_lag,
    ),
    Exercise(
        id="04-2",
        title="Commit what is processed",
        difficulty="medium",
        minutes=9,
        call="consume(consumer, handle)",
        stub='''def consume(consumer, handle):
    """Handle each record to the end; commit exactly what was processed."""
    return ...''',
        hints=(
            "At which line of your loop is a record processed, and not before?",
            "Call `handle(record)` first, then `consumer.commit(reading.after(record))`. What stands between them?",
            "Let the error of `handle` out: whoever catches it and goes on will commit past that record."),
        reference='''from labsupport import reading


def consume(consumer, handle):
    """Handle each record to the end; commit exactly what was processed."""
    for record in reading.to_the_end(consumer):
        handle(record)
        consumer.commit(reading.after(record))''',
        explanation="Only what has been processed is committed, as the next offset to read, in its own partition. When "
        "`handle` raises, nothing is caught: the record stays uncommitted and comes again after a restart. (This very "
        "consumer does not hand it out again: its position has moved on. `seek` would take it back.)",
        wrong=(
            Wrong("a commit says that the record has arrived",
                _wrong_loop("    for record in reading.to_the_end(consumer):\n"
                    "        consumer.commit(reading.after(record))\n"
                    "        handle(record)"), "more was committed than processed"),
            Wrong("commit() commits what was processed",
                _wrong_loop("    for record in reading.to_the_end(consumer):\n"
                    "        handle(record)\n        consumer.commit()"),
                "more was committed than processed"),
            Wrong("what is committed is the last one processed",
                _wrong_loop("    for record in reading.to_the_end(consumer):\n"
                    "        handle(record)\n"
                    "        place = TopicPartition(record.topic, record.partition)\n"
                    "        consumer.commit({place: OffsetAndMetadata(record.offset, '', -1)})"), "offset + 1"),
            Wrong("a record that fails is skipped",
                _wrong_loop("    for record in reading.to_the_end(consumer):\n"
                    "        try:\n"
                    "            handle(record)\n"
                    "        except Exception:\n"
                    "            continue\n"
                    "        consumer.commit(reading.after(record))"), "it is lost"),
            Wrong("a record that fails is handled once more",
                _wrong_loop("    for record in reading.to_the_end(consumer):\n"
                    "        try:\n"
                    "            handle(record)\n"
                    "        except Exception:\n"
                    "            handle(record)\n"
                    "        consumer.commit(reading.after(record))"), "as if nothing had happened"),
            Wrong("at the end everything is committed, whatever happened",
                _wrong_loop("    try:\n"
                    "        for record in reading.to_the_end(consumer):\n"
                    "            handle(record)\n"
                    "    finally:\n"
                    "        consumer.commit()"), "never comes back"),
            Wrong("one commit at the end is enough",
                _wrong_loop("    for record in reading.to_the_end(consumer):\n"
                    "        handle(record)\n    consumer.commit()"),
                "processed once more after a restart"),
            Wrong("offsets are counts",
                _wrong_loop("    done = {}\n"
                    "    for record in reading.to_the_end(consumer):\n"
                    "        handle(record)\n"
                    "        place = TopicPartition(record.topic, record.partition)\n"
                    "        done[place] = done.get(place, 0) + 1\n"
                    "        consumer.commit({place: OffsetAndMetadata(done[place], '', -1)})"), "offset + 1"),
            Wrong("only a ValueError can come out of handle",
                _wrong_loop("    done = {}\n"
                    "    try:\n"
                    "        for record in reading.to_the_end(consumer):\n"
                    "            handle(record)\n"
                    "            done |= reading.after(record)\n"
                    "    except ValueError:\n"
                    "        if done:\n"
                    "            consumer.commit(done)\n"
                    "        raise\n"
                    "    if done:\n"
                    "        consumer.commit(done)"), "also when handle raises"),
            Wrong("a commit that fails does not matter",
                _wrong_loop("    for record in reading.to_the_end(consumer):\n"
                    "        handle(record)\n"
                    "        try:\n"
                    "            consumer.commit(reading.after(record))\n"
                    "        except Exception:\n"
                    "            pass"), "has to commit again"),
            Wrong("what was done in the call before is done in this one",
                _wrong_loop("    try:\n"
                    "        for record in reading.to_the_end(consumer):\n"
                    "            handle(record)\n"
                    "            done.update(reading.after(record))\n"
                    "    finally:\n"
                    "        if done:\n"
                    "            consumer.commit(done)").replace("handle):", "handle, done={}):"), "never comes back"),
            Wrong("there is one partition",
                _wrong_loop("    for record in reading.to_the_end(consumer):\n"
                    "        handle(record)\n"
                    "        first = TopicPartition(record.topic, 0)\n"
                    "        consumer.commit({first: OffsetAndMetadata(record.offset + 1, '', -1)})"), "partition"),
        ),
        other_styles=(
            _wrong_loop("    done = {}\n"
                "    try:\n"
                "        for record in reading.to_the_end(consumer):\n"
                "            handle(record)\n"
                "            done |= reading.after(record)\n"
                "    finally:\n"
                "        if done:\n"
                "            consumer.commit(done)"),
            _wrong_loop("    places = list(consumer.assignment())\n"
                "    ends = consumer.end_offsets(places)\n"
                "    while any(consumer.position(place) < ends[place] for place in places):\n"
                "        for place, records in consumer.poll(timeout_ms=200).items():\n"
                "            for record in records:\n"
                "                handle(record)\n"
                "                consumer.commit({place: OffsetAndMetadata(record.offset + 1, '', -1)})"
            ),
            _wrong_loop("    for record in list(reading.to_the_end(consumer)):\n"
                "        handle(record)\n"
                "        for attempt in range(3):\n"
                "            try:\n"
                "                consumer.commit(reading.after(record))\n"
                "                break\n"
                "            except Exception:\n"
                "                if attempt == 2:\n"
                "                    raise"),
            "def consume(consumer, handle):\n"
            "    from labsupport import reading\n"
            "    for record in consumer:\n"
            "        handle(record)\n"
            "        consumer.commit(reading.after(record))",
        ),
        judge=_commit,
        seconds=30.0,
    ),
    Exercise(
        id="04-3",
        title="My consumer gets nothing",
        difficulty="medium",
        minutes=8,
        call="why_nothing(evidence)",
        stub='''def why_nothing(evidence):
    """'no topic', 'others', 'empty', 'all read' or 'at the end'."""
    return ...''',
        hints=(
            "Which of the five can be told without any offset?",
            "Then compare `begin` with `end`; then `committed` with `end`.",
            "What is left has nothing committed, or an offset that is gone, and stands at the end all the same."),
        reference='''def why_nothing(evidence):
    """'no topic', 'others', 'empty', 'all read' or 'at the end'."""
    if not evidence["topic_exists"]:
        return "no topic"
    if not evidence["assigned"]:
        return "others"
    if evidence["begin"] == evidence["end"]:
        return "empty"
    if evidence["committed"] == evidence["end"]:
        return "all read"
    return "at the end"''',
        explanation="First what can be seen without offsets: is there a topic, did the consumer get a partition? Then "
        "the offsets: an empty log, a group that has read all, and a position at the end with nothing valid committed.",
        wrong=(
            Wrong("where there are others, they have it",
                _wrong_reason(NO_TOPIC + "    if (e['members'] or 0) > 1:\n        return 'others'\n" + EMPTY
                    + "    return 'all read' if e['committed'] == e['end'] else 'at the end'"),
                "The reason is 'all read'"),
            Wrong("a consumer at the end has read everything",
                _wrong_reason(NO_TOPIC + OTHERS + EMPTY +
                    "    return 'all read' if e['position'] == e['end'] else 'at the end'"),
                    "nothing valid was committed"),
            Wrong("whoever has committed something did not start at the end",
                _wrong_reason(NO_TOPIC + OTHERS + EMPTY +
                    "    return 'at the end' if e['committed'] is None else 'all read'"),
                    "nothing valid was committed"),
            Wrong("a committed offset is too old, or good",
                _wrong_reason(NO_TOPIC + OTHERS + EMPTY +
                    "    late = e['committed'] is None or e['committed'] < e['begin']\n"
                    "    return 'at the end' if late else 'all read'"), "from `begin` to `end`"),
            Wrong("whoever has committed the end or more has read everything",
                _wrong_reason(NO_TOPIC + OTHERS + EMPTY +
                    "    return 'all read' if (e['committed'] or 0) >= e['end'] else 'at the end'"),
                    "nothing valid was committed"),
            Wrong("the end is 9, as in the example",
                _wrong_reason(NO_TOPIC + OTHERS + EMPTY +
                    "    return 'all read' if e['committed'] == 9 else 'at the end'"), "The reason is 'all read'"),
            Wrong("a log is empty if its end is 0",
                _wrong_reason(NO_TOPIC + OTHERS +
                    "    if e['end'] == 0:\n        return 'empty'\n"
                    "    return 'all read' if e['committed'] == e['end'] else 'at the end'"), "no record at all"),
            Wrong("a group with everything committed has no other reason",
                _wrong_reason(NO_TOPIC + EMPTY +
                    "    if e['committed'] == e['end']:\n        return 'all read'\n"
                    "    return 'others' if not e['assigned'] else 'at the end'"), "it got no partition"),
        ),
        other_styles=(
            _wrong_reason("    match e:\n"
                "        case {'topic_exists': False}:\n            return 'no topic'\n"
                "        case {'assigned': []}:\n            return 'others'\n"
                "        case {'begin': b, 'end': n} if b == n:\n            return 'empty'\n"
                "        case {'committed': c, 'end': n} if c == n:\n            return 'all read'\n"
                "    return 'at the end'"),
        ),
        judge=_why,
        seconds=4.0,
    ),
)
# fmt: on
