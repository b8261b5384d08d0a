"""17-3: the relay sends each row in order, marks it when it is acknowledged, and survives a crash at every point."""

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from labsupport.console import progress
from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Failed, Submission, TryAgain
from labsupport.experiments.breaking.faults import Fault
from labsupport.experiments.breaking.trial import DATABASE, TrialRun
from labsupport.experiments.breaking.trial_runner import AT_ONCE

from . import relay_trials as trials
from .relay_trials import Asked, Row

LOST = "what is marked is never sent again: mark a row when Kafka has acknowledged it"
ORDER = "a row that goes before an earlier one breaks the order of its key"
TWICE = "only the one row that was acknowledged and not yet marked may go twice"


def _survives(answer: Submission, lab: Lab) -> str:
    """Undisturbed, in this process; refused by Kafka; then killed at each point that it passes."""
    with tempfile.TemporaryDirectory(dir=lab.settings.home) as folder:
        _at_ease(answer, lab, Path(folder, DATABASE))
        _refused(answer, lab, Path(folder, "refused.db"))
        tried = _crashed(answer, lab, Path(folder))
    return (
        f"{tried} trials: nothing lost, nothing out of order, wherever the relay died; sent twice only what it had to."
    )


def _rows(topic: str, *ids: int) -> list[Row]:
    return [Row(each, topic, b"ORD-%d" % (each % 2), b"event %d" % each) for each in ids]


def _at_ease(answer: Submission, lab: Lab, path: Path) -> None:
    """Rows out of order; nothing to do; a row that appears late; and the database stays free."""
    topic = lab.topic(CHECKED)
    trials.create(path, _rows(topic, 30, 10, 20))
    locked: list[bool] = []
    _call(answer, lab, path, acknowledging=lambda: locked.append(not trials.can_write(path)))
    _require(lab, topic, path, [10, 20, 30], "rows 10, 20 and 30, of which 30 was written first")
    if any(locked):
        raise TryAgain(
            says="While your relay waited for Kafka, nobody else could write into the database.",
            given="an outbox with three rows, and a service that writes meanwhile",
            rule="an open transaction that has written holds SQLite's lock, and Kafka may take long to answer",
            look_at="wait for the acknowledgement first, then mark the row in a short transaction of its own",
        )
    _call(answer, lab, path)
    _require(lab, topic, path, [10, 20, 30], "an outbox in which all three rows are marked")
    with closing(sqlite3.connect(path)) as database, database:
        trials.add(database, _rows(topic, 40, 25))
    _call(answer, lab, path)
    given = "row 25 appears when 30 is sent: its transaction was committed late; and row 40"
    _require(lab, topic, path, [10, 20, 30, 25, 40], given)


def _refused(answer: Submission, lab: Lab, path: Path) -> None:
    """Kafka refuses the second of three rows."""
    topic = lab.topic(CHECKED, max_message_bytes=2_000)
    first, second, third = _rows(topic, 1, 2, 3)
    trials.create(path, [first, Row(2, topic, second.key, b"x" * 4_000), third])
    given = "three rows, of which the second is too large for its topic"
    returned = True
    try:
        _call(answer, lab, path)
    except Failed as failed:
        if isinstance(failed, TryAgain) or "raised" not in failed.fields["says"]:
            raise
        returned = False
    found, sent = _values(lab, topic), trials.marked(path)
    if sent[2]:
        raise TryAgain(
            says="Row 2 is marked as sent, and Kafka has refused it.", given=given, rule=LOST,
            look_at="does your relay wait for the outcome of each send, with get(), before it marks the row?",
        )  # fmt: skip
    if b"event 3" in found or sent[3]:
        raise TryAgain(
            says="Row 3 went although row 2 before it was refused.", given=given, rule=ORDER,
            look_at="send the next row only when the one before it is acknowledged",
        )  # fmt: skip
    if not sent[1]:
        raise TryAgain(
            says="Row 1 was acknowledged, and is not marked.", given=given, rule=TWICE,
            look_at="mark each row by itself, as soon as it is acknowledged",
        )  # fmt: skip
    if returned:
        raise TryAgain(
            says="Kafka refused row 2, and your relay returned as if all were well.", given=given,
            rule="nobody learns that the outbox stands still",
            look_at="which errors does it catch? Let them out",
        )  # fmt: skip


def _nothing() -> None:
    pass


def _call(answer: Submission, lab: Lab, path: Path, acknowledging: Callable[[], object] = _nothing) -> None:
    producer = Asked(lambda _: None, acknowledging, **trials.settings(lab, "check"))
    try:
        with closing(sqlite3.connect(path, timeout=5.0)) as database:
            answer(database, producer, returns=object)
    finally:
        producer.waiting.clear()  # its process has ended
        producer.close(timeout=5)


def _values(lab: Lab, topic: str) -> list[bytes]:
    return [record.value for record in lab.log(topic).records]


def _require(lab: Lab, topic: str, path: Path, ids: Sequence[int], given: str) -> None:
    sent, held = trials.marked(path), lab.log(topic).records
    rows = {row.value: row for row in _rows(topic, *ids)}
    if gone := [each for each in ids if each not in sent]:
        raise TryAgain(
            says=f"Row {gone[0]} is no longer in the outbox.", given=given,
            rule="who looks for an event that is missing looks there", look_at="mark rows: sent = 1",
        )  # fmt: skip
    if strange := [record for record in held if record.value not in rows or record.key != rows[record.value].key]:
        raise TryAgain(
            says=f"The topic has a record that is no row of the outbox: {strange[0].key!r}, {strange[0].value!r}.",
            given=given,
            look_at="send value and key as they are in the row, to the row's topic",
        )
    found = [int(record.value.split()[1]) for record in held]
    if missing := [each for each in ids if each not in found]:
        says = f"Row {missing[0]} is not in the topic" + (", and it is marked as sent." if sent[missing[0]] else ".")
        raise TryAgain(
            says=says, given=given, rule=LOST if sent[missing[0]] else "every row that is not marked has to be sent",
            look_at="does your relay wait for the acknowledgement before it marks, and before it returns?"
            if sent[missing[0]]
            else "which rows does your SELECT find? A row can appear whose id is smaller than one that was sent",
        )  # fmt: skip
    if len(found) > len(ids):
        raise TryAgain(
            says=f"Row {max(found, key=found.count)} went {max(map(found.count, found))} times, and nothing crashed.",
            given=given, rule=TWICE, look_at="is each row marked, and is that committed in the database?",
        )  # fmt: skip
    if found != list(ids):
        raise TryAgain(
            says=f"The rows went in the order {', '.join(map(str, found))}.", given=given, rule=ORDER,
            look_at="does the SELECT ask for an order (ORDER BY), and is one row sent after the other?",
        )  # fmt: skip
    if unmarked := [each for each in ids if not sent[each]]:
        raise TryAgain(
            says=f"Another connection does not see row {unmarked[0]} as sent.", given=given,
            rule="a process that dies loses what it has not committed in the database",
            look_at="is the UPDATE in a `with database:`, and is the next row read after that?",
        )  # fmt: skip


# Crashes


def _crashed(answer: Submission, lab: Lab, folder: Path) -> int:
    """Kill the relay at each point of two rows; returns the number of trials."""
    topic = lab.topic(CHECKED)
    undisturbed, rows = _trial(lab, answer, topic, folder, 0)
    _judge(lab, "Nothing crashed.", undisturbed, folder / "0", rows)
    cases = [(words, fault) for words, _, fault in trials.points(undisturbed)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [
            (words, pool.submit(_trial, lab, answer, topic, folder, number, (fault,)))
            for number, (words, fault) in enumerate(cases, 1)
        ]
        try:
            with contextlib.closing(_done(running)) as done:
                for number, (words, run, rows) in enumerate(progress("Trials", len(cases), "trial", over=done), 1):
                    _judge(lab, words, run, folder / str(number), rows)
        finally:
            pool.shutdown(cancel_futures=True)
    return len(cases) + 1


def _done(running: Sequence) -> Generator[tuple[str, TrialRun, list[Row]], None, None]:
    for words, future in running:
        yield words, *future.result()


def _trial(
    lab: Lab, answer: Submission, topic: str, folder: Path, number: int, crashes: Sequence[Fault] = ()
) -> tuple[TrialRun, list[Row]]:
    """In a thread: nothing here uses a Kafka client, which is not thread-safe."""
    rows = [Row(each, topic, b"ORD-1", b"trial %d, row %d" % (number, each)) for each in (1, 2)]
    (folder / str(number)).mkdir()
    trials.create(folder / str(number) / DATABASE, rows)
    return trials.play(lab, answer.value, folder / str(number), crashes), rows


def _judge(lab: Lab, words: str, run: TrialRun, folder: Path, rows: Sequence[Row]) -> None:
    if run.problem:
        printed = "".join(each.printed for each in run.processes)[-600:].strip()
        raise TryAgain(
            timed=run.timed_out, says=f"{words} Started again, it did not get to its end.", given=run.problem,
            printed=printed, look_at="what does your relay do when a part of the rows is marked already?",
        )  # fmt: skip
    ids = {row.value: row.id for row in rows}
    found = [ids[value] for value in _values(lab, rows[0].topic) if value in ids]
    sent, story = trials.marked(folder / DATABASE), f"two rows; {words[0].lower()}{words[1:]} Then it was started again"
    for each in ids.values():
        if each not in found:
            raise TryAgain(
                says=f"{words} Row {each} is lost: it is{'' if sent[each] else ' not'} marked, and not in the topic.",
                given=story, rule=LOST, look_at="what is committed in the database at that moment?",
            )  # fmt: skip
        if not sent[each]:
            raise TryAgain(
                says=f"{words} In the end row {each} is not marked, though it is in the topic.", given=story,
                rule=TWICE, look_at="does your relay mark each row that it has sent?",
            )  # fmt: skip
    if found != sorted(found):
        raise TryAgain(
            says=f"{words} The rows went in the order {', '.join(map(str, found))}.", given=story, rule=ORDER,
            look_at="was the first row marked before the second was sent?",
        )  # fmt: skip
    if len(found) > len(ids) + (len(run.processes) > 1):
        raise TryAgain(
            says=f"{words} The rows went {len(found)} times: {', '.join(map(str, found))}.", given=story, rule=TWICE,
            look_at="mark each row as soon as it is acknowledged, in a transaction of its own",
        )  # fmt: skip


EXERCISE = Exercise(
    id="17-3",
    title="The relay",
    difficulty="medium",
    minutes=10,
    call="relay(database, producer)",
    file="relay.py",
    hints=(
        "If the process dies between two of your lines, what is in the topic, and what is marked?",
        "In a loop: select the unsent row with the smallest id; send it and wait with `get(timeout=10)`; mark it in a "
        "`with database:`; until there is none.",
        "`SELECT id, topic, key, value FROM outbox WHERE NOT sent ORDER BY id LIMIT 1`, then "
        "`UPDATE outbox SET sent = 1 WHERE id = ?`.",
    ),
    explanation="A mark for each row finds rows that appear late, which `id > last` does not. Sent first and marked "
    "then, a row is never lost; if the relay dies in between, it goes twice, and the inbox of lesson 08 recognises it. "
    "The lab's own relay, `outbox.relay`, also keeps a second relay out.",
    judge=_survives,
    seconds=5.0,
    points_at=("ep-5",),
)
