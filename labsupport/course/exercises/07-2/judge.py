"""07-2, which bug was it?: the judge."""

import contextlib
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from kafka import KafkaConsumer

from labsupport.console import progress
from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.delivery import reading
from labsupport.delivery.moments import Kind
from labsupport.errors import LabError
from labsupport.experiments.breaking import faults, strategies
from labsupport.experiments.breaking.faults import Fault
from labsupport.experiments.breaking.strategies import Handle, Strategy
from labsupport.experiments.breaking.trial_runner import Job, TrialRunner
from labsupport.shop import story

if TYPE_CHECKING:
    from labsupport.course.session import Lesson


BUGS = {
    "commits first": "committed and not processed, because a process died in between",
    "no memory": "processed, and processed again when it came again after a crash",
    "skips errors": "committed and not processed, though no process died: it went on after an error",
    "not finished": "nothing is lost: what the lag counts will be handed out, because it is not committed",
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


def _ends_without_its_last_commit(consumer: KafkaConsumer, handle: Handle) -> None:
    before = None
    for record in reading.to_the_end(consumer):
        if before:
            consumer.commit(reading.after(before))
        handle(record)
        before = record


# The right name, the service, and what it suffers.
Service = tuple[str, Strategy, tuple[Fault, ...]]

PLAIN: tuple[Service, ...] = (
    ("commits first", Strategy("commits first", strategies.commit_first), (faults.crash(Kind.COMMITTED, 5),)),
    ("no memory", Strategy("processes first", strategies.process_then_commit), (faults.crash(Kind.HANDLED, 5),)),
    ("not finished", Strategy("ends early", _ends_early), ()),
    ("no bug", Strategy("undisturbed", strategies.process_then_commit), ()),
    ("skips errors", Strategy("skips errors", _skips_errors), (faults.fail(Kind.HANDLING, nth=4),)),
)

# What is told by two numbers together, and by how many there are.
MIXED: tuple[Service, ...] = (
    (
        "commits first",
        Strategy("commits a poll first", strategies.commit_the_batch_first, settings={"max_poll_records": 3}),
        (faults.crash(Kind.COMMITTED, 2),),
    ),
    ("no bug", Strategy("inbox", strategies.worker, strategies.inbox_and_effect), (faults.crash(Kind.COMMITTING, 5),)),
    (
        "commits first",
        Strategy("commits first, ends early", _commits_first_and_ends_early),
        (faults.crash(Kind.COMMITTED, 2), faults.crash(Kind.COMMITTED, 4)),
    ),
    (
        "no memory",
        Strategy("processes first, ends early", _ends_early),
        (faults.crash(Kind.HANDLED, 2), faults.crash(Kind.HANDLED, 4)),
    ),
    (
        "no memory",
        Strategy("processes a poll first", strategies.worker, settings={"max_poll_records": 3}),
        (faults.crash(Kind.HANDLED, 5),),
    ),
    (
        "skips errors",
        Strategy("skips two errors", _skips_errors),
        (faults.fail(Kind.HANDLING, nth=4), faults.fail(Kind.HANDLING, nth=6)),
    ),
    ("not finished", Strategy("ends before its commit", _ends_early_without_a_last_commit), ()),
    (
        "not finished",
        Strategy("inbox, ends early", _ends_early, strategies.inbox_and_effect),
        (faults.crash(Kind.COMMITTING, 3),),
    ),
    ("not finished", Strategy("ends without its last commit", _ends_without_its_last_commit), ()),
)  # fmt: skip

SERVICES = {12: PLAIN, 15: MIXED}  # by how many events there are


def _bug(answer: Submission, lab: "Lesson") -> str:
    """Services with a bug, or none, that really ran and died; the learner sees their sheets only."""
    services = sum(map(len, SERVICES.values()))
    for right, evidence in progress("Services", services, "service", over=_sheets(lab)):
        came_back = answer(evidence, returns=str, asks=f"one of {', '.join(BUGS)}")
        if came_back != right:
            raise TryAgain(
                says=f"It is {right!r} here.",
                given="\n".join(f"{name} = {value}" for name, value in evidence.items()),
                came_back=shown(came_back),
                broken=BUGS[right],
                look_at="which of these numbers is another one in the other cases?",
            )
    return f"Right for {services} services."


def _sheets(lab: "Lesson") -> Iterator[tuple[str, dict[str, int]]]:
    for events, services in SERVICES.items():
        jobs = [Job(strategy, suffers) for _, strategy, suffers in services]
        with (
            TrialRunner(lab, story.events(events, seed=1), CHECKED) as laboratory,
            contextlib.closing(laboratory.play(jobs)) as played,
        ):
            for (right, strategy, _), ended in zip(services, played, strict=True):
                if ended.played.problem:
                    raise LabError(f"The service {strategy.name!r} had no end.", ended.played.problem)
                numbers = {name: ended.sheet.count(name) for name in COUNTED}
                yield right, numbers | {"lag": ended.lag, "crashes": len(ended.played.lives) - 1}


COUNTED = ("produced", "processed", "waiting", "lost", "twice")


EXERCISE = Exercise(
    id="07-2",
    title="Which bug was it?",
    difficulty="medium",
    minutes=8,
    call="which_bug(sheet)",
    hints=(
        "Which two bugs lose events, and what did one of them not need for it?",
        "Is an event that waits lost? And what does a service that has crashed and lost nothing lack, if anything?",
        "First lost (with or without a crash), then twice, then the lag; what is left is in order.",
    ),
    explanation="Lost is what was committed without being processed: after a crash it was committed too early, "
    "without one an error was passed over. Twice shows a missing memory. What is not committed yet (the lag) is no "
    "bug: it will be handed out, whether it waits or was processed just before the end.",
    judge=_bug,
    seconds=3.0,
)
