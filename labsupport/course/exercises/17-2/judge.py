"""17-2: for each service, what happens exactly once; some of them are killed on the broker."""

import itertools
from collections.abc import Collection, Iterator

from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.exercises.groups import fresh_group
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, as_set, shown
from labsupport.delivery import publish
from labsupport.errors import LabError
from labsupport.experiments.breaking import transform
from labsupport.shop import story

STEPS = {
    "nothing": transform.apart,
    "output": transform.output_alone,
    "output and offsets": transform.together,
}
READERS = ("read_committed", "read_uncommitted", None)
COPIES, ROWS = "copies", "rows"
EVENTS = 8
PLAYED = ("nothing", False), ("output", True), ("output and offsets", False), ("output and offsets", True)


def _once(answer: Submission, lab: Lab) -> str:
    """All eighteen; the first wrong one happens on the broker, or four of them."""
    for transaction, inbox, reader in _services():
        service = {"transaction": transaction, "inbox": inbox, "reader": reader}
        said = _said(answer, service)
        if said != (right := _right(transaction, inbox, reader)):
            raise TryAgain(
                says=_says(_wrong_name(said, right), right),
                given=f"exactly_once({shown(service)})",
                came_back=shown(sorted(map(str, said))),
                story=_in_words(_play(lab, transaction, inbox)),
                look_at=_look_at(_wrong_name(said, right), right, reader),
            )
    for transaction, inbox in PLAYED:
        _require_agreement(_play(lab, transaction, inbox), transaction, inbox)
    return f"All 18 are right; {len(PLAYED)} of the services were killed and started again on the broker, and agree."


def _said(answer: Submission, service: dict[str, object]) -> set[str]:
    """The names in its answer. Raises TryAgain if it is a dict, whose keys say nothing."""
    came = answer(service, returns=(dict, Collection), asks="a list of names")
    if isinstance(came, dict):
        raise TryAgain(
            says="Your function returned the wrong type.",
            given=answer.called(service),
            came_back=f"{shown(came)}, which is a dict",
            look_at='return a list of the names alone: for example `["rows"]`, or `[]`',
        )
    return as_set(came)


def _services() -> Iterator[tuple[str, bool, str | None]]:
    """Those of the lesson first."""
    first = [("output and offsets", False, "read_committed"), ("output and offsets", False, None)]
    yield from first
    yield from (each for each in itertools.product(STEPS, (False, True), READERS) if each not in first)


def _right(transaction: str, inbox: bool, reader: str | None) -> set[str]:
    copies = transaction == "output and offsets" and reader == "read_committed"
    return {name for name, holds in ((COPIES, copies), (ROWS, inbox)) if holds}


def _play(lab: Lab, transaction: str, inbox: bool) -> transform.Outcome:
    """Kill it when it has sent the second batch, and start it again."""
    source, target = lab.topic(f"{CHECKED}-source"), lab.topic(CHECKED)
    publish.publish(lab.producer(name="check"), source, story.events(EVENTS, seed=17))
    ids = [None if transaction == "nothing" else lab.group(CHECKED)] * 2
    where = (source, target, fresh_group(lab, "copier"), lab.database(CHECKED))
    return transform.run(lab, *where, ids, STEPS[transaction], inbox=inbox, kill_at=transform.SENT)


def _require_agreement(found: transform.Outcome, transaction: str, inbox: bool) -> None:
    """Raise LabError if the broker contradicts this exercise."""
    by_reader = {"read_committed": found.committed, "read_uncommitted": found.uncommitted}
    for reader, copies in by_reader.items():
        counted = {name for name, counts in ((COPIES, copies), (ROWS, found.rows)) if not transform.twice(counts)}
        if counted != _right(transaction, inbox, reader):
            raise LabError("Kafka did not do what this exercise says.", _in_words(found), "tell us")


def _in_words(found: transform.Outcome) -> str:
    kinds = {
        "a read_committed reader gets": found.committed,
        "a read_uncommitted reader gets": found.uncommitted,
        "the database has": found.rows,
    }
    lines = [f"{EVENTS} orders; such a service was killed in its second batch, and started again"]
    lines += [f"{name} {transform.twice(counts)} of them twice" for name, counts in kinds.items()]
    return "\n".join(lines)


def _wrong_name(said: set[str], right: set[str]) -> str:
    """The name that the verdict is about: a strange one, then one that is too many, then one that is absent."""
    return sorted(map(str, said - {COPIES, ROWS} or said - right or right - said))[0]


def _says(name: str, right: set[str]) -> str:
    if name not in (COPIES, ROWS):
        return f"There is no {name!r}."
    if name not in right:
        return f"After a crash the {name} are not there exactly once."
    return f"The {name} are there exactly once, wherever it crashes."


def _look_at(name: str, right: set[str], reader: str | None) -> str:
    if name not in (COPIES, ROWS):
        return 'the names are "copies" and "rows"'
    if name == ROWS:
        return "is the database a part of Kafka's transaction? What makes a row harmless that is written again?"
    if COPIES in right:
        return "output and offsets are one step, and this reader gets no aborted records"
    if reader != "read_committed":
        return "which records does this reader get, and what is a consumer's default?"
    return "between which two steps can it die, and what does its next start do?"


EXERCISE = Exercise(
    id="17-2",
    title="What happens exactly once?",
    difficulty="easy",
    minutes=5,
    call="exactly_once(service)",
    hints=(
        "The service dies after it has sent copies and written rows. What does its next start do again, and who sees "
        "both?",
        "Copies: output and offsets must be in the transaction, and the reader must leave out what was aborted, which "
        "is not the default. Rows: no transaction of Kafka contains them.",
    ),
    explanation="A transaction makes output and offsets one step, for readers that say `read_committed`. The "
    "database is outside in every case; there only a memory of events helps, the inbox.",
    judge=_once,
    seconds=3.0,
    points_at=("ep-1", "ep-2"),
)
