"""06-1: a loop around slow work stays in its group, keeps the order, and commits only what is done."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.console import counted
from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.exercises.groups import commit, fresh_group, send
from labsupport.course.lab import Lab
from labsupport.course.stall import witness
from labsupport.course.submission import Failed, Judged, Submission, TryAgain
from labsupport.delivery import reading
from labsupport.delivery.reading import READS
from labsupport.experiments.watching import log

from .slow_work import DROPPED, SlowWork

POLL_INTERVAL = 1.0  # s

SLOW = 1.5  # s for a record


def _work_off(answer: Submission, lab: Lab) -> str:
    """One slow record; quick records, one of which fails; then slow ones in two partitions with an earlier commit."""
    _run(answer, lab, counts=[1], seconds=6)
    _run(answer, lab, counts=[4], seconds=5, takes=0.0, failing=1)  # the second of the two that a poll hands out
    _run(answer, lab, counts=[2], seconds=5, takes=0.0, failing=1)  # the last one
    _run(answer, lab, counts=[4, 1], earlier={0: 1}, seconds=11)
    return f"The consumer stayed a member, with {SLOW:g} s per record and a poll interval of {POLL_INTERVAL:g} s."


def _run(
    answer: Submission,
    lab: Lab,
    counts: Collection[int],
    seconds: float,
    takes: float = SLOW,
    failing: int | None = None,
    earlier: Mapping[int, int] = MappingProxyType({}),
) -> None:
    """Let the learner's function work off `counts[n]` records of partition n, and look at what it left.

    If this machine, not the answer, may have exceeded the poll interval, repeat it at a third of the speed.
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
    answer: Submission,
    lab: Lab,
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
    reading.join(consumer)
    send(lab, topic, [count - earlier.get(number, 0) for number, count in enumerate(counts)])
    given = f"{counted(sum(counts), 'record')} in {counted(len(counts), 'partition')}; "
    given += "".join(f"{offset} committed in partition {number} earlier; " for number, offset in earlier.items())
    given += f"slow takes {takes:g} s for each" if failing is None else f"slow raises at record {failing}"
    slow = SlowWork(lab, topic, consumer, counts, earlier, takes, failing)
    timed = Submission(answer.value, answer.signature, seconds)
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
    def work(record: ConsumerRecord) -> None:  # a function: arguments of this kind are not copied
        slow(record)

    work.__name__ = "slow"
    return work


def _judge_run(slow: SlowWork, error: Failed | None, counts: Collection[int], given: str) -> None:
    told: dict[str, Any] = {"given": given, "story": "\n".join(slow.story) or "(slow was never called)"}
    if slow.wrong:
        raise TryAgain(**slow.wrong, **told)
    if error and "the check makes this record fail" not in error.fields.get("says", ""):
        if "had not ended" in error.fields["says"] or "LabError" in error.fields["says"]:
            _judge_standstill(slow, told)
        raise error.but(story=error.fields.get("story", told["story"]))
    if slow.raised and not error:
        raise TryAgain(**DROPPED, **told)
    if slow.left and not error:
        raise TryAgain(
            says=f"slow({slow.left[0]}) was still at work when work_off ended.",
            rule="work that a thread has begun is not done, and its error is lost",
            look_at="which line waits until each piece of work is done before the next one begins?",
            **told,
        )
    for partition, count in enumerate(counts):
        done, due = slow.done[partition], count if slow.failing is None else slow.failing
        if done < due:
            _judge_standstill(slow, told)
            raise TryAgain(
                says=f"{done} of {due} records of partition {partition} were processed when work_off ended.",
                rule="each record of the topic must be processed",
                look_at="for record in reading.to_the_end(consumer)",
                **told,
            )
        committed = log.committed(slow.lab, slow.topic, slow.group).get(partition, 0)
        if committed != done:
            raise TryAgain(
                says=f"In partition {partition} offset {committed} is committed; it should be {done}.",
                rule="records that were processed and not committed are processed again after a restart"
                if committed < done
                else "a record that is committed and was not processed is never delivered again",
                look_at="after each piece of work: consumer.commit(reading.after(record))",
                **told,
            )


def _judge_standstill(slow: SlowWork, told: dict[str, Any]) -> None:
    """Raise TryAgain if records were dropped, or a partition is still paused."""
    for partition, position in sorted(slow.positions.items()):
        if position > (done := slow.done[partition]):
            raise TryAgain(
                says=f"Record {done} of partition {partition} was delivered, and slow was never called with it.",
                rule="each record of the topic must be processed",
                look_at="what happens to records that a poll() in between returns? It returns none of a paused "
                "partition",
                **told,
            )
    if slow.paused:
        raise TryAgain(
            says=f"work_off did not end, and partition {', '.join(map(str, slow.paused))} is still paused.",
            rule="a paused partition delivers nothing until it is resumed",
            look_at="consumer.resume(*consumer.paused()), after each piece of work",
            **told,
        )


EXERCISE = Exercise(
    id="06-1",
    title="Slow work, and still a member",
    difficulty="hard",
    minutes=12,
    call="work_off(consumer, slow)",
    hints=(
        "Which call tells the group that this consumer makes progress, and what makes this call while `slow` is "
        "at work?",
        "Run `slow(record)` in a thread (`pool.submit`), and poll until it is `done()`. What does a poll return "
        "meanwhile if nothing is paused?",
        "In this order: submit, `pause` everything that is assigned, poll until done, `resume`, call "
        "`result()`, commit.",
    ),
    explanation="The work runs in a thread while the loop keeps polling, which keeps the consumer in its group. "
    "Paused partitions deliver nothing meanwhile, so no record is dropped. `result()` raises here what `slow` "
    "raised in the thread. Only finished work is committed, by its own offset.",
    judge=_work_off,
)
