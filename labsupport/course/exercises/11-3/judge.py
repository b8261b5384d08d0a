"""11-3: each event has one row, and each live event one mail, in every story of up to three records."""

import contextlib
import itertools
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.course.exercise import Exercise, through_kafka
from labsupport.course.exercises.failing_clients import came_out
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.delivery import dead_letter, orders
from labsupport.history import replay
from labsupport.shop import story as shop
from labsupport.shop.event import Event

MOST = 3  # records in a story
NAMES = {
    "live": "its live record",
    "again": "its live record, delivered again",
    "replayed": "its record from a replay",
    "once more": "its record, replayed by hand with an empty id",
    "redriven": "its record, redriven",
}


def _hold_back(answer: Submission, lab: Lab) -> str:
    """Every story of up to three records, short ones first: count rows and mails in the end."""
    records = _records(lab)
    letters = {name: letter for letter, name in zip("AB", dict.fromkeys(key[0] for key in records), strict=True)}
    stories = 0
    for length in range(1, MOST + 1):
        for story in itertools.product(records, repeat=length):
            if letters[story[0][0]] == "A":  # with A and B swapped it is the same story
                try:
                    _tell(answer, story, records, letters)
                except TryAgain:
                    if stories:
                        _require_no_other_memory(answer, records, letters)
                    raise
                stories += 1
    _require_errors(answer, next(iter(records.values())))
    return (
        f"Right in all {stories} stories of up to {MOST} records: live, redelivered, replayed, redriven; after "
        f"an error the work is done on redelivery."
    )


def _require_errors(answer: Submission, live: ConsumerRecord) -> None:
    """The mail fails once, then the database: the error must come out, and redelivery must do the rest."""
    for what in ("mail() raises OSError", "the database refuses: OperationalError"):
        mails: list[object] = []
        with tempfile.TemporaryDirectory() as folder, closing(_opened(Path(folder, "shop.db"))) as database:
            with _failing(what, Path(folder, "shop.db"), mails) as mail:
                out, _ = came_out(answer, live, database, mail, returns=object)
            story = f"handle: event A, its live record; {what}"
            if not out and (what.startswith("the") or not mails):
                raise TryAgain(
                    says=f"{what}, and handle returned as if all were done.",
                    story=story,
                    rule="the service then commits the record's offset, and the record is never delivered again",
                    look_at="which `except` swallows the error? Let it out",
                )
            database.rollback()
            answer(live, database, mails.append, returns=object)
            rows = len(database.execute("SELECT * FROM effects").fetchall())
        if (rows, len(mails)) != (1, 1):
            raise TryAgain(
                says=f"Event A has {_number(rows, 'row')} and {_number(len(mails), 'mail')}.",
                story=f"{story}\nhandle: event A, its live record, delivered again",
                rule="what failed must be done when the record is delivered again",
                look_at="what is remembered when the mail fails? And what is already done when the database refuses?",
            )


def _opened(path: Path) -> sqlite3.Connection:
    """The shop's database in that file; it does not wait for other writers."""
    return orders.database(path, patience=0)


@contextlib.contextmanager
def _failing(what: str, path: Path, mails: list[object]) -> Iterator[Callable[[object], None]]:
    """For the body of a `with`, the mail function. `what` fails: the first mail, or each write to the database."""
    failed: list[object] = []

    def mail(event: object) -> None:
        if what.startswith("mail") and not failed:
            failed.append(event)
            raise OSError("the mail server does not answer")
        mails.append(event)

    with closing(_opened(path)) as other:
        if not what.startswith("mail"):
            other.execute("BEGIN IMMEDIATE")
        yield mail
        other.rollback()


def _records(lab: Lab) -> dict[tuple[str, str], ConsumerRecord]:
    """Two events' records as Kafka delivers them, by event id and by how they came."""
    events = shop.events(30, seed=3)
    first = next(event for event in events if event.event_type == "OrderCreated")
    both = [event for event in events if shop.key_of(event) == shop.key_of(first)]  # an order and its payment
    sent = [{"value": each.encode(), "key": shop.key_of(each), "headers": each.headers()} for each in both]
    topic = through_kafka(lab, sent).topic
    producer, reader = lab.producer(name="check"), lab.consumer(name="check-replay")
    replay.choose(reader, replay.Selection(topic, stop=len(both)), replay_id="2026-04-17").send(producer, topic)
    for event in both:  # once more, by hand: the mark is there, and empty
        headers = [*event.headers(), (replay.REPLAY_ID, b"")]
        producer.send(topic, event.encode(), shop.key_of(event), headers).get(timeout=60)
    for offset, event in enumerate(both):
        headers = [*event.headers(), (dead_letter.REDRIVE_ORIGIN, f"{topic}/0/{offset}".encode())]
        producer.send(topic, event.encode(), shop.key_of(event), headers).get(timeout=60)
    lab.close_client("check-replay")
    held = lab.log(topic).records
    # In the order of sending: both live, replayed, replayed once more, redriven. For the second event two of these
    # are enough.
    how = [(event.event_id, name) for name in ("live", "replayed", "once more", "redriven") for event in both]
    found = dict(zip(how, held, strict=True))
    del found[both[1].event_id, "once more"], found[both[1].event_id, "redriven"]
    return found


def _require_no_other_memory(answer: Submission, records: Mapping, letters: Mapping[str, str]) -> None:
    """The first story passed: if it fails now, something outside the database remembers."""
    first = [next(iter(records))]
    try:
        _tell(answer, first, records, letters)
    except TryAgain as other:
        raise _wrong(
            first,
            letters,
            f"With an empty database this was right at first; now: {other.fields['says']}",
            "what a program remembers outside its database is lost in a crash, and stays when it should not",
            "a global set, or a switch that a replay turns on: can the record and the database tell you instead?",
        ) from None


def _tell(answer: Submission, story: Sequence[tuple[str, str]], records: Mapping, letters: Mapping[str, str]) -> None:
    mails: list[object] = []
    early: list[object] = []  # mails that went out before their rows

    with closing(orders.database(":memory:")) as database:
        database.execute("CREATE TEMP TABLE changed (event_id)")
        for how in ("DELETE", "UPDATE"):
            note = "INSERT INTO changed VALUES (old.event_id)"
            database.execute(f"CREATE TEMP TRIGGER on_{how} AFTER {how} ON effects BEGIN {note}; END")

        def mail(event: object) -> None:
            mails.append(event)
            event_id = event.event_id if isinstance(event, Event) else ""
            if not database.execute("SELECT 1 FROM effects WHERE event_id = ?", (event_id,)).fetchone():
                early.append(event)

        try:
            for place in story:
                answer(records[place], database, mail, returns=object)
                if database.in_transaction:
                    problem = (
                        "After the last record, a transaction is open.",
                        "work that is not committed is not done",
                        "`with database:` commits",
                    )
                    raise _wrong(story, letters, *problem)
            changed = database.execute("SELECT event_id FROM changed").fetchone()
            rows = Counter(str(event_id) for (event_id,) in database.execute("SELECT event_id FROM effects"))
        except sqlite3.Error as error:  # closed, or its table dropped
            problem = (
                "After the last record, effects cannot be read.",
                str(error),
                "the service continues to use its database",
            )
            raise _wrong(story, letters, *problem) from None
    sent = Counter(each.event_id if isinstance(each, Event) else shown(each, 60) for each in mails)
    for strange in (rows | sent).keys() - letters.keys():
        says = f"There is {'a row in effects' if strange in rows else 'a mail'} with {strange!r}, but no such event."
        rule, look_at = (
            "a row has its event's id, and mail() gets the event",
            "what do you insert, and what do you pass to mail()?",
        )
        raise _wrong(story, letters, says, rule, look_at)
    for event_id, letter in letters.items():
        names = [name for each, name in story if each == event_id]
        if rows[event_id] != bool(names):
            says = f"Event {letter} has {_number(rows[event_id], 'row')}."
            look_at = "do you write the row for every record, and remember it by the event's id?"
            raise _wrong(
                story, letters, says, "each event must have one row, whether its record is live or replayed", look_at
            )
        due = any(name in ("live", "redriven") for name in names)
        if sent[event_id] != due:
            raise _wrong(story, letters, *_about_mails(letter, sent[event_id], names))
    if early:
        rule = "a mail about something that is not in the books yet cannot be recalled"
        raise _wrong(
            story,
            letters,
            "The mail went out before the row was there.",
            rule,
            "which of the two comes first in your code?",
        )
    if changed:
        rule = "a row must be written once: others may have read it, and a crash in between would lose it"
        look_at = "what does your function do when the row exists already?"
        raise _wrong(story, letters, "An existing row was deleted or changed.", rule, look_at)


def _about_mails(letter: str, count: int, how: Sequence[str]) -> tuple[str, str, str]:
    says = f"Event {letter} has {_number(count, 'mail')}."
    if count > 1:
        return says, "a redelivered event must have its mail once", "what remembers that this mail went out?"
    if count:
        return (
            says,
            "the event was only replayed: its customer already has that mail",
            "what tells a replayed record from a live one?"
            + (" The header is there, although its value is empty" if how == ["once more"] else ""),
        )
    if how == ["redriven"]:
        return says, "a redrive is not a replay: its effects are due", "which header marks a replay?"
    if len(how) == 1:
        look_at = "which header marks a replay? And under which id do you remember a mail?"
        return says, "the record is live: its mail is due", look_at
    return (
        says,
        "its live record came, and its mail never went out",
        "row and mail are two effects: what does a replay leave in your memory, and for which of them?",
    )


def _number(count: int, what: str) -> str:
    return f"no {what}" if not count else f"{count} {what}{'s' * (count > 1)}"


def _wrong(
    story: Sequence[tuple[str, str]], letters: Mapping[str, str], says: str, rule: str, look_at: str
) -> TryAgain:
    seen: set[tuple[str, str]] = set()
    lines = []
    for event_id, how in story:
        name = "again" if how == "live" and (event_id, how) in seen else how
        seen.add((event_id, how))
        lines.append(f"handle: event {letters[event_id]}, {NAMES[name]}")
    return TryAgain(says=says, story="\n".join(lines), rule=rule, look_at=look_at)


EXERCISE = Exercise(
    id="11-3",
    title="Hold it back",
    difficulty="hard",
    minutes=15,
    call="handle(record, database, mail)",
    hints=(
        "Row and mail are two effects. When is each of them due, and how do you remember each of them?",
        "The row is due whether the record is live or replayed, the mail only if it is live.",
        "`inbox.once(database, id, effect)` remembers an id. Give the mail an id of its own, such as `'mail ' + "
        "event.event_id`, and send it only if the record is live.",
    ),
    explanation="The row is due for every record, the mail only for a live one. So they need two memories: with "
    "a single one, a replay before the live record would mark the event as done, and its mail would never go "
    "out. If the mail fails, nothing is remembered, the error comes out, and the record is delivered again. A "
    "mail can still go out twice, if the process dies after mail() and before the inbox commits (lesson 08).",
    judge=_hold_back,
    seconds=3.0,
)
