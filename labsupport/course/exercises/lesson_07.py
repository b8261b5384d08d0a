"""Exercises of lesson 07, what is lost and what happens twice."""

from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord

from labsupport.base import LabError, progress
from labsupport.course.answer import Answer, TryAgain, shown
from labsupport.course.exercise import CHECKED, Exercise, Wrong, nothing_left
from labsupport.events import reading, shop
from labsupport.experiments import faults, strategies, torture
from labsupport.experiments.faults import Fault
from labsupport.experiments.laboratory import Job, Laboratory
from labsupport.experiments.strategies import Handle, Strategy

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

# 07-1


def _commit_place(answer: Answer, lab: "Lesson") -> str:
    """Once undisturbed and here, where errors have line numbers; then with every crash, in processes that die."""
    _undisturbed(answer, lab)
    judged = torture.judge(lab, consume=answer.value, twice_is_fine=True, settings={"max_poll_records": 2})
    if story := judged.story:
        look_at = "which call commits, and which record is not handled yet at that line?"
        if story.broken == "uncommitted":
            look_at = "what is committed when the last poll has been handled?"
        if story.broken == "again":
            look_at = "where does it begin to read when it is started again?"
        raise TryAgain(
            says=story.says, story=torture.told(story), printed=story.printed[-600:], look_at=look_at, timed=story.timed
        )
    return f"{judged.tried} trials, a crash at every point of each of three events: nothing is lost."


def _undisturbed(answer: Answer, lab: "Lesson") -> None:
    """Five records, two in a poll: each handled once, in order; all committed in the end, once for each poll."""
    with Laboratory(lab, shop.events(5, seed=1), CHECKED) as laboratory:
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
                nothing_left(consumer)

        consumer.commit, consumer.commit_async = counting(consumer.commit), counting(consumer.commit_async)
        try:
            answer(consumer, handle, returns=object)
        finally:
            lab.close_client("check")
        committed = lab.lag(laboratory.topic, laboratory.name + "-calm").places[0].committed
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


# 07-2

BUGS = {
    "commits first": "committed and not processed, because a process died in between",
    "no memory": "processed, and processed again when it came again after a crash",
    "skips errors": "committed and not processed, though no process died: it went on after an error",
    "not finished": "nothing is lost: what is left will be handed out, because it is not committed",
    "no bug": "each event has one effect",
}


def _skips_errors(consumer: KafkaConsumer, handle: Handle) -> None:
    for record in reading.to_the_end(consumer):
        try:
            handle(record)
        except faults.FaultError:
            continue
        finally:
            consumer.commit(reading.after(record))


def _ends_early(consumer: KafkaConsumer, handle: Handle) -> None:
    for record in islice(reading.to_the_end(consumer), 5):
        handle(record)
        consumer.commit(reading.after(record))


def _ends_early_without_a_last_commit(consumer: KafkaConsumer, handle: Handle) -> None:
    for number, record in enumerate(islice(reading.to_the_end(consumer), 5)):
        handle(record)
        if number < 4:
            consumer.commit(reading.after(record))


def _commits_first_and_ends_early(consumer: KafkaConsumer, handle: Handle) -> None:
    for record in islice(reading.to_the_end(consumer), 5):
        consumer.commit(reading.after(record))
        handle(record)


# The right name, the service, and what it suffers; the plain cases first.
SERVICES: tuple[tuple[str, Strategy, tuple[Fault, ...]], ...] = (
    ("commits first", Strategy("commits first", strategies.commit_first), (faults.crash("committed", 5),)),
    ("no memory", Strategy("processes first", strategies.process_then_commit), (faults.crash("handled", 5),)),
    ("not finished", Strategy("ends early", _ends_early), ()),
    ("no bug", Strategy("undisturbed", strategies.process_then_commit), ()),
    ("skips errors", Strategy("skips errors", _skips_errors), (faults.fail("handling", nth=4),)),
    # What is told by two numbers together.
    ("no bug", Strategy("inbox", strategies.worker, strategies.inbox_and_effect), (faults.crash("committing", 5),)),
    (
        "commits first",
        Strategy("commits first, ends early", _commits_first_and_ends_early),
        (faults.crash("committed", 2), faults.crash("committed", 4)),
    ),
    (
        "no memory",
        Strategy("processes first, ends early", _ends_early),
        (faults.crash("handled", 2), faults.crash("handled", 4)),
    ),
    ("not finished", Strategy("ends before its commit", _ends_early_without_a_last_commit), ()),
)  # fmt: skip


def _bug(answer: Answer, lab: "Lesson") -> str:
    """Services with a bug, or none, that really ran and died; the learner sees their sheets only."""
    found = 0
    for right, evidence in progress("Services", len(SERVICES), "service", over=_sheets(lab)):
        came_back = answer(evidence, returns=str, asks=f"one of {', '.join(BUGS)}")
        if came_back != right:
            raise TryAgain(
                says=f"It is {right!r} here.",
                given="\n".join(f"{name} = {value}" for name, value in evidence.items()),
                came_back=shown(came_back),
                broken=BUGS[right],
                look_at="which of these numbers is another one in the other cases?",
            )
        found += 1
    return f"Right for {found} services."


def _sheets(lab: "Lesson") -> Iterator[tuple[str, dict[str, int]]]:
    jobs = [Job(strategy, suffers) for _, strategy, suffers in SERVICES]
    with Laboratory(lab, shop.events(12, seed=1), CHECKED) as laboratory:
        played = laboratory.play(jobs)
        try:
            for (right, strategy, _), ended in zip(SERVICES, played, strict=True):
                if ended.played.problem:
                    raise LabError(f"The service {strategy.name!r} had no end.", ended.played.problem)
                numbers = {name: ended.sheet.count(name) for name in COUNTED}
                yield right, numbers | {"lag": ended.lag, "crashes": len(ended.played.lives) - 1}
        finally:
            played.close()


COUNTED = ("produced", "processed", "waiting", "lost", "twice")


def _loop(body: str) -> str:
    return f"from labsupport import reading\n\n\ndef consume(consumer, handle):\n{body}"


def _verdicts(body: str) -> str:
    return f"def which_bug(sheet):\n{body}"


LOST = "    if sheet['lost']:\n        return 'commits first' if sheet['crashes'] else 'skips errors'\n"
TWICE = "    if sheet['twice']:\n        return 'no memory'\n"

# fmt: off
EXERCISES = (
    Exercise(
        id="07-1",
        title="The commit in the right place",
        difficulty="medium",
        minutes=9,
        call="consume(consumer, handle)",
        stub='''def consume(consumer, handle):
    """Handle each record to the end; one commit for each poll."""
    return ...''',
        hints=(
            "When has everything that one `poll()` returned been processed?",
            "`ended = reading.at_the_end(consumer)`, then `while not ended():` with one `poll()` in it.",
            "After the loop over that poll's records: `consumer.commit(reading.after(record))`, if there were any."),
        reference='''from labsupport import reading


def consume(consumer, handle):
    """Handle each record to the end; one commit for each poll."""
    ended = reading.at_the_end(consumer)
    while not ended():
        for records in consumer.poll(timeout_ms=200).values():
            for record in records:
                handle(record)
            consumer.commit(reading.after(records[-1]))''',
        explanation="The commit stands behind the work of a whole poll, and names the offset after its last record. A "
        "crash before it repeats at most one poll; a crash after it repeats nothing; no crash loses anything.",
        wrong=(
            Wrong("a commit says that the records have arrived",
                _loop("    ended = reading.at_the_end(consumer)\n"
                    "    while not ended():\n"
                    "        for records in consumer.poll(timeout_ms=200).values():\n"
                    "            consumer.commit(reading.after(records[-1]))\n"
                    "            for record in records:\n"
                    "                handle(record)"), "is lost"),
            Wrong("commit() commits what was handled",
                _loop("    for record in reading.to_the_end(consumer):\n"
                    "        consumer.commit()\n"
                    "        handle(record)\n"
                    "    consumer.commit()"), "commits for three polls"),
            Wrong("commit before the next poll means before this one",
                _loop("    ended = reading.at_the_end(consumer)\n"
                    "    while not ended():\n"
                    "        records = [r for rs in consumer.poll(timeout_ms=200).values() for r in rs]\n"
                    "        if records:\n"
                    "            consumer.commit()\n"
                    "        for record in records:\n"
                    "            handle(record)"), "is lost"),
            Wrong("a commit for each record is the same",
                _loop("    for record in reading.to_the_end(consumer):\n"
                    "        handle(record)\n"
                    "        consumer.commit(reading.after(record))"), "commits for three polls"),
            Wrong("one commit at the end is enough",
                _loop("    for record in reading.to_the_end(consumer):\n"
                    "        handle(record)\n"
                    "    consumer.commit()"), "5 records were handled before"),
            Wrong("the client commits by itself",
                _loop("    for record in reading.to_the_end(consumer):\n"
                    "        handle(record)"), "and 5 was due"),
            Wrong("what is committed is the last one processed",
                "from kafka import TopicPartition\nfrom kafka.structs import OffsetAndMetadata\n"
                + _loop("    ended = reading.at_the_end(consumer)\n"
                    "    while not ended():\n"
                    "        for place, records in consumer.poll(timeout_ms=200).items():\n"
                    "            for record in records:\n"
                    "                handle(record)\n"
                    "            consumer.commit({place: OffsetAndMetadata(record.offset, '', -1)})"), "and 5 was due"),
            Wrong("to the end means from the beginning",
                _loop("    while not consumer.assignment():\n"
                    "        consumer.poll(timeout_ms=0)\n"
                    "    consumer.seek_to_beginning()\n"
                    "    ended = reading.at_the_end(consumer)\n"
                    "    while not ended():\n"
                    "        for records in consumer.poll(timeout_ms=200).values():\n"
                    "            for record in records:\n"
                    "                handle(record)\n"
                    "            consumer.commit(reading.after(record))"), "was handled again"),
        ),
        other_styles=(
            _loop("    ended = reading.at_the_end(consumer)\n"
                "    while not ended():\n"
                "        polled = consumer.poll(timeout_ms=100)\n"
                "        for records in polled.values():\n"
                "            for record in records:\n"
                "                handle(record)\n"
                "        consumer.commit()"),
            _loop("    from labsupport import Worker\n"
                "    Worker(consumer, handle).run(until=reading.at_the_end(consumer))"),
        ),
        judge=_commit_place,
        seconds=10.0,
    ),
    Exercise(
        id="07-2",
        title="Which bug was it?",
        difficulty="medium",
        minutes=8,
        call="which_bug(sheet)",
        stub='''def which_bug(sheet):
    """'commits first', 'no memory', 'skips errors', 'not finished' or 'no bug'."""
    return ...''',
        hints=(
            "Which two bugs lose events, and what did one of them not need for it?",
            "Is an event that waits lost? And what does a service that has crashed and lost nothing lack, if anything?",
            "First lost (with or without a crash), then twice, then waiting; what is left is in order."),
        reference='''def which_bug(sheet):
    """'commits first', 'no memory', 'skips errors', 'not finished' or 'no bug'."""
    if sheet["lost"]:
        return "commits first" if sheet["crashes"] else "skips errors"
    if sheet["twice"]:
        return "no memory"
    return "not finished" if sheet["waiting"] or sheet["lag"] else "no bug"''',
        explanation="Lost is what was committed without being processed: after a crash it was committed too early, "
        "without one an error was passed over. Twice shows a missing memory. Waiting events are no bug, only not done.",
        wrong=(
            Wrong("what is not processed is lost",
                _verdicts("    if sheet['processed'] < sheet['produced']:\n"
                    "        return 'commits first' if sheet['crashes'] else 'skips errors'\n" + TWICE +
                    "    return 'no bug'"), "nothing is lost"),
            Wrong("after a crash there is always a bug",
                _verdicts(LOST + TWICE + "    if sheet['waiting'] or sheet['lag']:\n        return 'not finished'\n"
                    "    return 'no memory' if sheet['crashes'] else 'no bug'"), "each event has one effect"),
            Wrong("what is lost was committed too early",
                _verdicts("    if sheet['lost']:\n        return 'commits first'\n" + TWICE +
                    "    return 'not finished' if sheet['waiting'] or sheet['lag'] else 'no bug'"),
                "though no process died"),
            Wrong("lag 0 means that nothing is wrong",
                _verdicts("    if not sheet['lag']:\n        return 'no bug'\n" + LOST + TWICE +
                    "    return 'not finished'"), "committed and not processed"),
            Wrong("as long as something waits there is nothing to say",
                _verdicts("    if sheet['waiting']:\n        return 'not finished'\n" + LOST + TWICE +
                    "    return 'not finished' if sheet['lag'] else 'no bug'"), "because a process died in between"),
            Wrong("a service dies once",
                _verdicts("    if sheet['lost']:\n"
                    "        return 'commits first' if sheet['crashes'] == 1 else 'skips errors'\n" + TWICE +
                    "    return 'not finished' if sheet['lag'] else 'no bug'"), "crashes = 2"),
            Wrong("what happens twice happens to one event",
                _verdicts(LOST + "    if sheet['twice'] == 1:\n        return 'no memory'\n"
                    "    return 'not finished' if sheet['lag'] else 'no bug'"), "twice = 2"),
        ),
        other_styles=(
            _verdicts("    match sheet:\n"
                "        case {'lost': n, 'crashes': 0} if n:\n            return 'skips errors'\n"
                "        case {'lost': n} if n:\n            return 'commits first'\n"
                "        case {'twice': n} if n:\n            return 'no memory'\n"
                "    return 'no bug' if sheet['lag'] == 0 else 'not finished'"),
        ),
        judge=_bug,
        seconds=3.0,
    ),
)
# fmt: on
