"""17-3: the relay sends each row in order, marks it when it is acknowledged, and survives a crash at every point."""

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from kafka import KafkaProducer

from labsupport.console import progress
from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.lab import Lab
from labsupport.course.submission import Failed, Submission, TryAgain
from labsupport.experiments.breaking.faults import KILLED, Fault
from labsupport.experiments.breaking.trial import DATABASE, TrialRun
from labsupport.experiments.breaking.trial_runner import AT_ONCE

from . import relay_trials as trials
from .relay_trials import Asked, Row

LOST = "what is marked is never sent again: mark a row when Kafka has acknowledged it"
ORDER = "a row that goes before an earlier one breaks the order of its key"
MANY = 120  # more than a SELECT that is limited to a hundred
TWICE = "only the one row that was acknowledged and not yet marked may go twice"


def _survives(answer: Submission, lab: Lab) -> str:
    """Undisturbed, in this process; refused by Kafka; killed at each point that it passes; and with many rows."""
    with tempfile.TemporaryDirectory(dir=lab.settings.home) as folder:
        _at_ease(answer, lab, Path(folder, DATABASE))
        _refused(answer, lab, Path(folder, "refused.db"))
        tried = _crashed(answer, lab, Path(folder))
        _many(answer, lab, Path(folder, "many.db"))  # last, because it takes longest
    return (
        f"{tried} trials: nothing lost, nothing out of order, wherever the relay died; sent twice only what it had to."
    )


def _rows(topic: str, *ids: int) -> list[Row]:
    return [Row(each, topic, b"ORD-%d" % (each % 2), b"\xff event %d" % each) for each in ids]  # bytes, not a text


def _at_ease(answer: Submission, lab: Lab, path: Path) -> None:
    """Rows out of order; nothing to do; a row that appears late; two that are alike; and the database stays free."""
    topic, other = lab.topic(CHECKED), lab.topic(f"{CHECKED}-other")
    trials.create(path, [*_rows(topic, 300, 9), *_rows(other, 15), *_rows(topic, 20)])
    locks: list[str] = []

    def acknowledging() -> None:
        if not any(locks):
            locks.append(trials.lock(path))

    _call(answer, lab, path, acknowledging)
    held = _rows(topic, 9, 20, 300) + _rows(other, 15)
    _require(lab, path, held, "rows 9, 15, 20 and 300, of which 300 was written first, and 15 is for another topic")
    _require_no(next(filter(None, locks), ""))
    _call(answer, lab, path)
    _require(lab, path, held, "an outbox in which all four rows are marked")
    held += _add(path, _rows(topic, 400, 25))[::-1]
    _call(answer, lab, path)
    _require(lab, path, held, "row 25 appears when 300 is sent: its transaction was committed late; and row 400")
    held += _add(path, [Row(each, topic, b"ORD-1", b"\xff again") for each in (501, 502)])
    _call(answer, lab, path)
    _require(lab, path, held, "rows 501 and 502 have the same topic, key and value: an event that happened twice")


def _add(path: Path, rows: list[Row]) -> list[Row]:
    with closing(sqlite3.connect(path)) as database, database:
        trials.add(database, rows)
    return rows


def _require_no(lock: str) -> None:
    if lock:
        raise TryAgain(
            says="While your relay waited for Kafka, nobody else could write into the database.",
            given="an outbox with four rows, and a service that writes meanwhile",
            rule="an open transaction that has written holds SQLite's lock, and Kafka may take long to answer"
            if lock == trials.WRITING
            else "while a SELECT is not read to its end, or its transaction is open, no other connection can commit",
            look_at="wait for the acknowledgement first, then mark the row in a short transaction of its own"
            if lock == trials.WRITING
            else "read all rows before you send (fetchall), or ask for one (LIMIT 1); begin no transaction for that",
        )


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
    if third.value in found or sent[3]:
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


def _many(answer: Submission, lab: Lab, path: Path) -> None:
    """More rows than fit into one SELECT with a limit."""
    rows = _rows(lab.topic(CHECKED), *range(1001, 1001 + MANY))
    trials.create(path, rows)
    _call_with(answer, KafkaProducer(**trials.settings(lab, "check")), path)  # one that does not wait to be asked
    _require(lab, path, rows, f"an outbox with {MANY} unsent rows, 1001 and so on")


def _nothing() -> None:
    pass


def _call(answer: Submission, lab: Lab, path: Path, acknowledging: Callable[[], object] = _nothing) -> None:
    """With a producer that sends when it is asked."""
    _call_with(answer, Asked(lambda _: None, acknowledging, **trials.settings(lab, "check")), path)


def _call_with(answer: Submission, producer: KafkaProducer, path: Path) -> None:
    try:
        with closing(sqlite3.connect(path, timeout=5.0)) as database:
            database.execute("PRAGMA synchronous = OFF")  # a slow disk is not what is judged
            answer(database, producer, returns=object)
    finally:
        producer.close(timeout=5)


def _values(lab: Lab, topic: str) -> list[bytes]:
    return [record.value for record in lab.log(topic).records]


def _require(lab: Lab, path: Path, expected: Sequence[Row], given: str) -> None:
    """Exactly these rows are in their topics, in this order in each, and all are marked."""
    topics = {row.topic: lab.log(row.topic).records for row in expected}
    sent, held = trials.marked(path), [record for records in topics.values() for record in records]
    rows: dict[tuple, list[int]] = {}
    for row in sorted(expected, key=lambda row: row.id):
        rows.setdefault((row.topic, row.key, row.value), []).append(row.id)
    ids = [row.id for topic in topics for row in expected if row.topic == topic]
    if gone := [each for each in ids if each not in sent]:
        raise TryAgain(
            says=f"Row {gone[0]} is no longer in the outbox.", given=given,
            rule="who looks for an event that is missing looks there", look_at="mark rows: sent = 1",
        )  # fmt: skip
    if strange := [each for each in held if (each.topic, each.key, each.value) not in rows]:
        raise TryAgain(
            says=f"A topic has a record that is no row of the outbox for it: {strange[0].key!r}, {strange[0].value!r}.",
            given=given,
            look_at="send value and key as they are in the row, to the row's topic",
        )
    alike = [rows[each.topic, each.key, each.value] for each in held]
    found = [each.pop(0) if len(each) > 1 else each[0] for each in alike]  # rows that are alike went in their order
    if missing := [each for each in ids if each not in found]:
        says = f"Row {missing[0]} is not in the topic" + (", and it is marked as sent." if sent[missing[0]] else ".")
        raise TryAgain(
            says=says, given=given, rule=LOST if sent[missing[0]] else "every row that is not marked has to be sent",
            look_at="does your relay wait for the acknowledgement before it marks, and before it returns?"
            if sent[missing[0]]
            else "does your relay go on until nothing is unsent, also with ids smaller than one that was sent?",
        )  # fmt: skip
    if len(found) > len(ids):
        raise TryAgain(
            says=f"Row {max(found, key=found.count)} went {max(map(found.count, found))} times, and nothing crashed.",
            given=given, rule=TWICE, look_at="is each row marked, and is that committed in the database?",
        )  # fmt: skip
    if found != ids:
        raise TryAgain(
            says=f"The rows went in the order {', '.join(map(str, found[:9]))}.", given=given, rule=ORDER,
            look_at="does the SELECT ask for an order (ORDER BY), and is one row sent after the other?",
        )  # fmt: skip
    if unmarked := [each for each in ids if not sent[each]]:
        raise TryAgain(
            says=f"Another connection does not see sent = 1 in row {unmarked[0]}.", given=given,
            rule="a process that dies loses what it has not committed in the database",
            look_at="does the UPDATE set sent = 1, in a `with database:` in this thread, before the next row is read?",
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
    crashed = any(each.exit_code == KILLED for each in run.processes)
    if run.problem:
        printed = "".join(each.printed for each in run.processes)[-600:].strip()
        raise TryAgain(
            timed=run.timed_out, given=run.problem, printed=printed,
            says=f"{words} {'Started again' if crashed else 'In a process of its own'}, it did not get to its end.",
            look_at="what does your relay do when a part of the rows is marked already?"
            if crashed else "does it need anything but its two arguments?",
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
