"""07-1, the commit in the right place: the judge."""

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.experiments.breaking import crash_search
from labsupport.experiments.breaking.trial_runner import TrialRunner
from labsupport.kafka_fixes import end_iteration
from labsupport.shop import story

if TYPE_CHECKING:
    from labsupport.course.session import Lesson


def _commit_place(answer: Submission, lab: "Lesson") -> str:
    """Once undisturbed and here, where errors have line numbers; then with every crash, in processes that die."""
    _undisturbed(answer, lab)
    judged = crash_search.judge(lab, consume=answer.value, twice_is_fine=True, settings={"max_poll_records": 2})
    if story := judged.story:
        look_at = "which call commits, and which record is not handled yet at that line?"
        if story.broken == "uncommitted":
            look_at = "what is committed when the last poll has been handled?"
        if story.broken == "again":
            look_at = "where does it begin to read when it is started again?"
        raise TryAgain(
            says=story.says,
            story=crash_search.told(story),
            printed=story.printed[-600:],
            look_at=look_at,
            timed=story.timed,
        )
    return f"{judged.tried} trials, a crash at every point of each of three events: nothing is lost."


def _undisturbed(answer: Submission, lab: "Lesson") -> None:
    """Five records, two in a poll: each handled once, in order; all committed in the end, once for each poll."""
    with TrialRunner(lab, story.events(5, seed=1), CHECKED) as laboratory:
        consumer = lab.consumer(
            laboratory.topic, name="check", group_id=laboratory.name + "-calm", group_instance_id="A",
            auto_offset_reset="earliest", enable_auto_commit=False, max_poll_records=2,
        )  # fmt: skip
        handled: list[int] = []
        commits: list[int] = []  # of something new: an empty poll may be followed by one too

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
    given = "five records, two in a poll"
    if handled != [*range(5)]:
        raise TryAgain(
            says="Not every record was handled once, in order.",
            given=given,
            came_back=f"handled: offsets {shown(handled)}",
            look_at="while not ended(): for records in consumer.poll(…).values(): for record in records: …",
        )
    if committed != 5:
        raise TryAgain(
            says=f"When all was handled, {committed or 'nothing'} was committed, and 5 was due.",
            given=given,
            broken="what is not committed comes again after a restart",
            look_at="what is committed is the next offset to read; also after the last poll",
        )
    if len(commits) > 3:
        raise TryAgain(
            says=f"{len(commits)} commits for three polls.",
            given=given,
            came_back=f"commits after {', '.join(map(str, commits))} records",
            broken="a commit waits for the broker's answer: one for each poll is enough",
            look_at="put the commit behind the loop over what one poll returned",
        )
    if (most := max((later - earlier for earlier, later in pairwise([0, *commits])), default=0)) > 2:
        raise TryAgain(
            says=f"{most} records were handled before they were committed.",
            given=given,
            came_back=f"commits after {', '.join(map(str, commits))} records",
            broken="a crash repeats what is not committed, and that is to be one poll at most",
            look_at="put the commit into the loop that polls, behind what one poll returned",
        )


EXERCISE = Exercise(
    id="07-1",
    title="The commit in the right place",
    difficulty="medium",
    minutes=9,
    call="consume(consumer, handle)",
    hints=(
        "When has everything that one `poll()` returned been processed?",
        "`ended = reading.at_the_end(consumer)`, then `while not ended():` with one `poll()` in it.",
        "After the loop over that poll's records: `consumer.commit(reading.after(record))`, if there were any.",
    ),
    explanation="The commit stands behind the work of a whole poll, and names the offset after its last record. A "
    "crash before it repeats at most one poll; a crash after it repeats nothing; no crash loses anything.",
    judge=_commit_place,
    seconds=10.0,
)
