"""07-1: no crash loses an event, with one commit per poll."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.experiments.breaking import crash_search
from labsupport.experiments.breaking.trial_runner import TrialRunner
from labsupport.kafka_fixes import end_iteration
from labsupport.shop import story


def _commit_place(answer: Submission, lab: Lab, events: int = crash_search.EVENTS) -> str:
    """First undisturbed and in this process, where errors have line numbers; then `events` events, with every crash."""
    _undisturbed(answer, lab)
    settings = {"max_poll_records": 2}
    judged = crash_search.search(lab, consume=answer.value, allow_duplicates=True, settings=settings, events=events)
    if story := judged.counterexample:
        look_at = "which call commits, and which record is not handled yet at that line?"
        if story.violation == "uncommitted":
            look_at = "what is committed after the last poll was handled?"
        if story.violation == "again":
            look_at = "at which offset does it begin to read after a restart?"
        raise TryAgain(
            says=story.summary,
            story=crash_search.narrate(story),
            printed=story.printed[-600:],
            look_at=look_at,
            timed=story.timed_out,
        )
    return f"{judged.tried} trials with a crash at every point of each of three events: nothing is lost."


def _undisturbed(answer: Submission, lab: Lab) -> None:
    """Five records, two per poll: each handled once, in order, and one commit per poll."""
    with TrialRunner(lab, story.events(5, seed=1), CHECKED) as laboratory:
        consumer = lab.consumer(
            laboratory.topic, name="check", group_id=laboratory.name + "-calm", group_instance_id="A",
            auto_offset_reset="earliest", enable_auto_commit=False, max_poll_records=2,
        )  # fmt: skip
        handled: list[int] = []
        commits: list[int] = []  # only commits of something new: an empty poll may commit too

        def counting(commit: Callable) -> Callable:
            def counted(*offsets: Any, **named: Any) -> Any:
                if len(handled) > max(commits, default=0):
                    commits.append(len(handled))
                return commit(*offsets, **named)

            return counted

        def handle(record: ConsumerRecord) -> None:
            handled.append(record.offset)
            if len(handled) == 5:
                end_iteration(consumer)

        consumer.commit, consumer.commit_async = counting(consumer.commit), counting(consumer.commit_async)
        try:
            answer(consumer, handle, returns=object)
        finally:
            lab.close_client("check")
        committed = lab.lag(laboratory.topic, laboratory.name + "-calm").partitions[0].committed
    given = "five records, two per poll"
    if handled != [*range(5)]:
        raise TryAgain(
            says="Not every record was handled once and in order.",
            given=given,
            came_back=f"handled: offsets {shown(handled)}",
            look_at="while not ended(): for records in consumer.poll(…).values(): for record in records: …",
        )
    if committed != 5:
        raise TryAgain(
            says=f"After the last record, {committed or 'nothing'} is committed; it should be 5.",
            given=given,
            rule="records that are not committed are delivered again after a restart",
            look_at="commit the next offset to read, also after the last poll",
        )
    if len(commits) > 3:
        raise TryAgain(
            says=f"{len(commits)} commits for three polls.",
            given=given,
            came_back=f"commits after {', '.join(map(str, commits))} records",
            rule="a commit waits for the broker's answer: one per poll is enough",
            look_at="put the commit after the loop over the records of one poll",
        )
    if (most := max((later - earlier for earlier, later in pairwise([0, *commits])), default=0)) > 2:
        raise TryAgain(
            says=f"{most} records were handled before a commit.",
            given=given,
            came_back=f"commits after {', '.join(map(str, commits))} records",
            rule="a crash repeats what is not committed, which should be at most one poll",
            look_at="put the commit into the polling loop, after the records of one poll",
        )


EXERCISE = Exercise(
    id="07-1",
    title="The commit in the right place",
    difficulty="medium",
    minutes=12,
    call="consume(consumer, handle)",
    hints=(
        "After which line are all records of one `poll()` processed?",
        "`ended = reading.at_the_end(consumer)`, then `while not ended():` with one `poll()` in it.",
        "After the loop over that poll's records, if there were any: `consumer.commit(reading.after(record))`.",
    ),
    explanation="The commit follows the work of a whole poll, and names the offset after its last record. A "
    "crash before it repeats at most one poll; a crash after it repeats nothing; no crash loses anything.",
    judge=_commit_place,
    seconds=10.0,
)
