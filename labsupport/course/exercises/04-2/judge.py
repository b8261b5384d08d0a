"""04-2, commit what is processed: the judge."""

from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaTimeoutError

from labsupport.course.exercise import Exercise, through_kafka
from labsupport.course.submission import Failed, Submission, TryAgain
from labsupport.experiments.watching import log
from labsupport.kafka_fixes import end_iteration

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

from labsupport.course.exercises.lesson_04_shared import fresh_group, reader

RECORDS = 7  # of the two partitions together; the first of each is gone, so that offsets are not counts

GONE = 2

# What a handler may raise: an answer that knows one kind of error only does not pass.
ERRORS = (ValueError, KeyError, RuntimeError, OSError, TypeError, LookupError, ZeroDivisionError)


def _commit(answer: Submission, lab: "Lesson") -> str:
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


def _run_and_restart(answer: Submission, lab: "Lesson", topic: str, failing: int | None) -> None:
    group = fresh_group(lab, "commit", {}, topic)
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


def _a_commit_fails(answer: Submission, lab: "Lesson", topic: str, nth: int) -> None:
    """The consumer's commit number `nth` fails, once: the error comes out, or it is committed all the same."""
    group = fresh_group(lab, "commit", {}, topic)
    handler = _Handler(lab, topic, group)
    given = f"{RECORDS} records in two partitions; commit number {nth} raises KafkaTimeoutError"
    if not _call(answer, lab, topic, group, handler, given, failing_commit=nth):
        _require_exact(lab, handler, given, look_at="who catches the error of a commit has to commit again")


def _call(
    answer: Submission,
    lab: "Lesson",
    topic: str,
    group: str,
    handler: _Handler,
    given: str,
    failing_commit: int = 0,
) -> bool:
    """Run the learner's loop to its end; whether the error that the check made came out of it."""
    consumer = reader(lab, topic, group)
    if failing_commit:
        _let_fail(consumer, failing_commit, handler.story)
    if handler.all_done:
        end_iteration(consumer)

    def handle(record: ConsumerRecord) -> None:  # a function, which is handed over uncopied
        handler(record)
        if handler.all_done:
            end_iteration(consumer)

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


EXERCISE = Exercise(
    id="04-2",
    title="Commit what is processed",
    difficulty="medium",
    minutes=9,
    call="consume(consumer, handle)",
    hints=(
        "At which line of your loop is a record processed, and not before?",
        "Call `handle(record)` first, then `consumer.commit(reading.after(record))`. What stands between them?",
        "Let the error of `handle` out: whoever catches it and goes on will commit past that record.",
    ),
    explanation="Only what has been processed is committed, as the next offset to read, in its own partition. When "
    "`handle` raises, nothing is caught: the record stays uncommitted and comes again after a restart. (This very "
    "consumer does not hand it out again: its position has moved on. `seek` would take it back.)",
    judge=_commit,
    seconds=30.0,
)
