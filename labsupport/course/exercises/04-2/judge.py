"""04-2: at every moment, what is committed was processed, even if the handler or a commit fails."""

from collections import Counter
from itertools import count
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaTimeoutError

from labsupport.course.exercise import Exercise, through_kafka
from labsupport.course.exercises.groups import fresh_group, reader
from labsupport.course.lab import Lab
from labsupport.course.submission import Failed, Submission, TryAgain
from labsupport.experiments.watching import log
from labsupport.kafka_fixes import end_iteration

RECORDS = 7  # in both partitions; the first record of each is deleted, so that offsets are not counts

GONE = 2

# What the handler raises, in turn: an answer that handles one class of error only does not pass.
ERRORS = (ValueError, KeyError, RuntimeError, OSError, TypeError, LookupError, ZeroDivisionError)


def _commit(answer: Submission, lab: Lab) -> str:
    """Two partitions without their first records: nothing fails, or the handler or a commit fails; then a restart."""
    records = [{"value": b"%d" % number, "partition": number % 2} for number in range(-GONE, RECORDS)]
    topic = through_kafka(lab, records, partitions=2).topic
    lab.admin().delete_records({TopicPartition(topic, number): 1 for number in (0, 1)})
    for failing in (None, *range(RECORDS)):
        _run_and_restart(answer, lab, topic, failing)
    for nth in (1, RECORDS):
        _a_commit_fails(answer, lab, topic, nth)
    return "Whatever failed, only processed records were committed, and in the end all of them."


class _Handler:
    """The learner's `handle`: processes records, fails at one of them, and compares what is committed."""

    def __init__(self, lab: Lab, topic: str, group: str, failing: int | None = None):
        self.lab, self.topic, self.group, self.failing = lab, topic, group, failing
        self.before = {0: 1, 1: 1} | log.committed(lab, topic, group)
        self.processed: list[ConsumerRecord] = []
        self.story: list[str] = []
        self.ahead = False  # whether a record was committed before it was processed
        self.failed = False  # whether it raised

    def __call__(self, record: ConsumerRecord) -> None:
        self.story.append(f"handle(record {record.offset} of partition {record.partition})")
        self._require_not_ahead()
        number = int(record.value)
        if number == self.failing and not self.failed:  # once: a loop that calls it again is noticed
            error = ERRORS[number % len(ERRORS)]
            self.story[-1] += f" raises {error.__name__}"
            self.failed = True
            raise error("the check makes this record fail")
        self.processed.append(record)

    @property
    def skipped(self) -> bool:
        """Whether the loop went on without the failed record: a restart shows what becomes of that record."""
        again = any(int(record.value) == self.failing for record in self.processed)
        return self.failed and not again and "raises" not in self.story[-1]

    @property
    def done(self) -> dict[int, int]:
        """By partition, the offset after the last processed record, or the first offset if none was processed."""
        return self.before | {record.partition: record.offset + 1 for record in self.processed}

    @property
    def all_done(self) -> bool:
        """Whether no record is left."""
        return sum(self.done.values()) >= RECORDS + GONE

    def _require_not_ahead(self) -> None:
        for partition, committed in log.committed(self.lab, self.topic, self.group).items():
            if committed > self.done[partition]:
                self.story.append(f"at this moment {committed} is committed in partition {partition}")
                self.ahead = True
                raise RuntimeError("more is committed than processed")


def _run_and_restart(answer: Submission, lab: Lab, topic: str, failing: int | None) -> None:
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
            rule="the function ends when every record of the topic was handled",
            look_at="for record in reading.to_the_end(consumer)",
        )
    _require_exact(lab, handler, given)
    again = _Handler(lab, topic, group)
    _call(answer, lab, topic, group, again, "the same again, after a restart")
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
            says=f"Value {lost[0]} was not processed even after a restart: it is lost.",
            given=given,
            story="\n".join([*handler.story, "restart", *again.story]),
            look_at="after an error the function must end with that error, and handle no other record",
        )
    _require_exact(lab, again, f"{given}; then a restart")


def _a_commit_fails(answer: Submission, lab: Lab, topic: str, nth: int) -> None:
    """The consumer's `nth` commit fails once: the error must come out, or the offset be committed after all."""
    group = fresh_group(lab, "commit", {}, topic)
    handler = _Handler(lab, topic, group)
    given = f"{RECORDS} records in two partitions; commit number {nth} raises KafkaTimeoutError"
    if not _call(answer, lab, topic, group, handler, given, failing_commit=nth):
        _require_exact(lab, handler, given, look_at="if you catch the error of a commit, you have to commit again")


def _call(
    answer: Submission,
    lab: Lab,
    topic: str,
    group: str,
    handler: _Handler,
    given: str,
    failing_commit: int = 0,
) -> bool:
    """Run the learner's loop to its end, and return whether the error that the check raised came out."""
    consumer = reader(lab, topic, group)
    if failing_commit:
        _let_fail(consumer, failing_commit, handler.story)
    if handler.all_done:
        end_iteration(consumer)

    def handle(record: ConsumerRecord) -> None:  # a function: arguments of this kind are not copied
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
            rule="a crash at this moment would lose the records that are committed and not processed",
            look_at="which call commits, and which record is not processed yet at that line?",
        )
    if handler.failed and not raised and not handler.skipped:
        raise TryAgain(
            says="handle raised, and consume returned as if nothing had happened.",
            given=given,
            story="\n".join(handler.story),
            look_at="let the error out; a `finally` can still commit what was processed",
        )
    return raised


def _let_fail(consumer: KafkaConsumer, nth: int, story: list[str]) -> None:
    """Make the consumer's `nth` commit fail as it does without an answer; it commits nothing."""
    commit, calls = consumer.commit, count(1)

    def failing(*arguments: Any, **named: Any) -> None:
        if next(calls) == nth:
            story.append("commit raises KafkaTimeoutError")
            raise KafkaTimeoutError("the check makes this commit fail")
        commit(*arguments, **named)

    consumer.commit = failing


def _require_exact(lab: Lab, handler: _Handler, given: str, look_at: str = "") -> None:
    """Raise TryAgain unless each partition's committed offset is the one after the last processed record."""
    committed = log.committed(lab, handler.topic, handler.group)
    for partition, due in handler.done.items():
        found = committed.get(partition, 1)
        if found == due:
            continue
        rule = "records that were processed and not committed are processed again after a restart"
        advice = "commit the next offset to read, the record's offset + 1, in each partition, also when handle raises"
        if found > due:
            rule = "a record that is committed and was not processed is never delivered again"
            advice = (
                "commit() without arguments commits everything that was delivered, so a skipped record counts as done"
            )
        raise TryAgain(
            says=f"In partition {partition} offset {found} is committed; it should be {due}."
            if partition in committed
            else f"In partition {partition} nothing is committed; it should be {due}.",
            given=given,
            story="\n".join(handler.story),
            rule=rule,
            look_at=look_at or advice,
        )


EXERCISE = Exercise(
    id="04-2",
    title="Commit what is processed",
    difficulty="easy",
    minutes=5,
    call="consume(consumer, handle)",
    hints=(
        "After which line of your loop is a record processed?",
        "Call `handle(record)` first, then `consumer.commit(reading.after(record))`. What may happen between them?",
        "Let the error of `handle` out: a loop that catches it and continues will commit past that record.",
    ),
    explanation="The loop commits only what was processed, as the next offset to read, in the record's own "
    "partition. When `handle` raises, the error comes out: the record stays uncommitted and is delivered again "
    "after a restart. (This consumer does not deliver it again, because its position has moved on; `seek` would "
    "move it back.)",
    judge=_commit,
    seconds=30.0,
)
