"""Exercises of lesson 10, how dead letters come back."""

import random
import sqlite3
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from labsupport.course.answer import Answer, TryAgain, shown
from labsupport.course.exercise import CHECKED, Exercise, Wrong
from labsupport.events import dead_letter, redrive, retry, sending, shop
from labsupport.events.dead_letter import DeadLetter
from labsupport.events.event import Event, EventError
from labsupport.experiments import incident, log

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

# 10-1


def _chosen(answer: Answer, lab: "Lesson") -> str:
    """Another morning's dead letters: each alone, some, all; then the chosen ones go back to the mended service."""
    topic = lab.topic(CHECKED)
    dead = lab.dead_letters(topic)
    incident.happen(lab, topic, [*incident.morning(2), incident.at_the_limit()])
    letters = [found.letter for found in redrive.letters(lab.consumer(name="redrive"), redrive.choice(dead)).found]
    alone = sorted(letters, key=lambda letter: (_refusal(letter) != "", len(letter.headers), letter.offset))
    chance = random.Random(2)
    mixed = [chance.sample(letters, size) for size in (0, 2, 3, 4, 5, 6)]
    for given in [*([letter] for letter in alone), *mixed, letters]:
        places = _places(answer, given)
    before = len(letters)
    chosen = redrive.choice(dead, where=lambda record: dead_letter.unwrap(record).place in places)
    account = redrive.redrive(lab.consumer(name="redrive"), lab.producer(name="check"), chosen)
    incident.work(lab, topic, incident.mended)
    if again := len(log.read(lab, dead).records) - before:
        raise AssertionError(f"{again} of {account.done} came back")
    return f"Sent back: {account.done} of {before}. The mended service processed them all, and would refuse the others."


def _places(answer: Answer, given: Sequence[DeadLetter]) -> set[str]:
    came_back = answer(list(given), returns=Collection, asks="a list of dead letters, some of those that are given")
    if strange := [each for each in came_back if each not in given]:
        raise TryAgain(
            says="What came back is not one of the dead letters that were given.",
            given=f"{len(given)} dead letter{'s' * (len(given) != 1)}",
            came_back=shown(strange[0]),
            look_at="return those dead letters themselves, in a list",
        )
    places = {each.place for each in came_back}
    for letter in given:
        refusal = _refusal(letter)
        if refusal and letter.place in places:
            raise TryAgain(
                says="One that you send back would be a dead letter again.",
                given=_described(letter),
                came_back="it is sent back",
                broken=f"the mended service refuses it: {refusal}",
                look_at="what does this one have in common with those that can be helped, and what not?",
            )
        if not refusal and letter.place not in places:
            raise TryAgain(
                says="One that you leave can be processed now.",
                given=_described(letter),
                came_back="it is not sent back",
                broken="what is left in the dead letter topic is not processed, and nobody misses it",
                look_at="which release wrote this amount, and what is it if these are cents?",
            )
    return places


def _refusal(letter: DeadLetter) -> str:
    """Why the mended service cannot process it; empty if it can."""
    try:
        incident.process(incident.mended(letter))
    except (EventError, retry.PermanentError) as error:
        return str(error)
    return ""


def _described(letter: DeadLetter) -> str:
    headers = ", ".join(f"{name}={log.text(value)}" for name, value in letter.headers if name != "event_id") or "none"
    error = letter.error.rpartition(".")[2]
    value = log.text(letter.value)
    payload = value.partition('"payload": ')[2] or value
    return f"error: {error}: {letter.message}\nheaders: {headers}\nvalue: … {payload[-150:]}"


# 10-2

TABLE = "CREATE TABLE orders (order_id TEXT PRIMARY KEY, status TEXT NOT NULL, version INTEGER NOT NULL)"
KNOWN = ("paid", 2)  # what an earlier process wrote about an order, in some stories
State = dict[str, tuple[str, int]]


def _newest(answer: Answer, lab: "Lesson") -> str:
    """Few events in all orders, the shortest stories first; then a real redrive."""
    with tempfile.TemporaryDirectory(dir=lab.settings.home) as folder:
        file = Path(folder, "shop.db")
        with closing(sqlite3.connect(file)) as database, closing(sqlite3.connect(file)) as other:
            database.execute("PRAGMA synchronous = OFF")
            database.execute(TABLE)
            database.commit()
            tried = 0
            for known, story in _stories():
                tried += 1
                _play(answer, database, other, known, _renamed(story, tried))
            _play(answer, database, other, None, _redriven(lab))
    return f"Right in {tried} stories with events that come late, twice, out of order, with gaps, or without a version."


def _changes() -> list[Event]:
    """Of one order, and one of another; the clock of who publishes version 2 is slow."""
    one, two = [event for event in shop.events(60, seed=3) if event.event_type == "OrderCreated"][:2]
    changes = [
        _change(event, number, status, version)
        for number, (event, status, version) in enumerate(
            [
                (one, "open", 1),
                (one, "paid", 2),
                (one, "sent", 10),
                (one, "sent back", 9),
                (one, "paid in part", 2),
                (one, "new", None),
                (two, "open", 1),
                (one, "newer", None),
            ]
        )
    ]
    changes[1] = replace(changes[1], timestamp=shop.OPENING.replace(hour=1))
    return changes


def _change(event: Event, number: int, status: str, version: int | None) -> Event:
    payload = {**event.payload, "status": status} | ({} if version is None else {"version": version})
    event_id = str(uuid5(NAMESPACE_URL, f"change/{number}"))
    return replace(event, event_id=event_id, payload=payload, timestamp=shop.OPENING.replace(minute=31 + number))


def _stories() -> Iterator[tuple[tuple[str, int] | None, tuple[Event, ...]]]:
    """What is known of the first order, and the events that come."""
    changes = _changes()
    for length in (1, 2):
        for known in (None, KNOWN):
            yield from ((known, story) for story in product(changes, repeat=length))
    yield from ((None, story) for story in permutations(changes[:-1], 3))
    yield from ((None, (first, second, first)) for first, second in permutations(changes, 2))


def _renamed(story: Sequence[Event], number: int) -> list[Event]:
    """The same with ids of its own, so that no story knows the orders and events of another."""
    return [
        replace(
            event,
            event_id=str(uuid5(NAMESPACE_URL, f"{event.event_id}/{number}")),
            payload={**event.payload, "order_id": f"{event.payload['order_id']}{number:03}"},
        )
        for event in story
    ]


def _redriven(lab: "Lesson") -> list[Event]:
    """What a handler gets that could not process the first of two events, in its order: the second, then the first."""
    topic = lab.topic(CHECKED)
    dead = lab.dead_letters(topic)
    producer = lab.producer(name="check")
    sending.publish(producer, topic, _changes()[:2])
    first, second = log.read(lab, topic).records
    key, value, headers = dead_letter.wrap(first, KeyError("customer"), 1, "check").encode()
    producer.send(dead, value, key, headers).get(timeout=5)
    redrive.redrive(lab.consumer(name="redrive"), producer, redrive.choice(dead))
    *_, again = log.read(lab, topic).records
    return [Event.decode(second.value), Event.decode(again.value)]


def _play(
    answer: Answer,
    database: sqlite3.Connection,
    other: sqlite3.Connection,
    known: tuple[str, int] | None,
    story: Sequence[Event],
) -> None:
    state: State = {story[0].payload["order_id"]: known} if known else {}
    try:
        database.rollback()
    except sqlite3.ProgrammingError:
        raise TryAgain(
            says="Your function has closed the database.",
            broken="it is called with the same one for each event",
            look_at="`with database:` commits; take out close()",
        ) from None
    with database:
        database.execute("DELETE FROM orders")
        database.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(order, *row) for order, row in state.items()])
    given = [f"in the table: {_told(state)}"] if known else []
    for event in story:
        given.append(_line(event))
        answer(event, database, returns=object)
        before, state = state, _after(state, event)
        held = {row[0]: row[1:] for row in other.execute("SELECT order_id, status, version FROM orders")}
        if held != state:
            _differs(given, event, before, state, held)


def _after(state: State, event: Event) -> State:
    order, version = event.payload["order_id"], event.payload.get("version", 0)
    if order in state and version <= state[order][1]:
        return state
    return state | {order: (event.payload["status"], version)}


def _differs(given: Sequence[str], event: Event, before: State, due: State, held: State) -> None:
    version = event.payload.get("version")
    order = event.payload["order_id"]
    known = before.get(order)
    others = [each for each in due if each != order]
    if any(held.get(each) != due[each] for each in others):
        broken, look_at = "an event says nothing of other orders", "which rows does your statement change?"
    elif due == before:
        broken = "what is older than what is known, or of the same version, changes nothing"
        look_at = f"the order has version {known[1]}, and this event {version}: which one is newer?"
        if version is None:
            look_at = "what does your code take for the version of an event that has none?"
    elif known is None:
        broken = "the first that is heard of an order makes it, with the event's version, or 0 if it has none"
        look_at = "is there an INSERT for an order without a row?"
        if others:
            look_at = "which order's version do you compare it with?"
        if held != before:
            look_at = "what do you write as its status, and as its version?"
    else:
        broken = "a newer version takes the place of an older one, also if others between the two are missing"
        look_at = "which number is compared with which, and where does the older one come from?"
    if held == before and due != before:
        look_at += " And is what you write committed, `with database:`?"
    raise TryAgain(
        says="After the last of these events the table is not as it should be.",
        given="\n".join(given),
        came_back=f"{_told(held)}; due: {_told(due)}",
        broken=broken,
        look_at=look_at,
    )


def _line(event: Event) -> str:
    payload = event.payload
    version = f"version {payload['version']}" if "version" in payload else "without a version"
    return f"{payload['order_id']} is {payload['status']!r}, {version}"


def _told(state: State) -> str:
    return (
        ", ".join(f"{order} {status!r} in version {version}" for order, (status, version) in state.items()) or "no row"
    )


def _choosing(body: str) -> str:
    return f"from labsupport import Event, EventError\n\n\ndef to_redrive(letters):\n{body}"


def _handling(body: str) -> str:
    return f"def handle(event, database):\n{body}"


ORDER = "    order, status = event.payload['order_id'], event.payload['status']\n"
VERSION = ORDER + "    version = event.payload.get('version', 0)\n"
FOUND = "    found = database.execute('SELECT version FROM orders WHERE order_id = ?', (order,)).fetchone()\n"
REPLACE = "with database:\n            database.execute('INSERT OR REPLACE INTO orders VALUES (?, ?, ?)', ({}))\n"
WRITE = "        " + REPLACE.format("order, status, version")

# fmt: off
EXERCISES = (
    Exercise(
        id="10-1",
        title="What was wrong that morning?",
        difficulty="medium",
        minutes=9,
        call="to_redrive(letters)",
        stub='''def to_redrive(letters):
    """Those of the dead letters that the mended service can process."""
    return ...''',
        hints=(
            "Two letters have nearly the same message. What else is different about them: key, value, headers?",
            "Look at the header `release` of those whose amount is above the limit. What is 134271 if it is cents?",
            "Leave what has another error, another release, no headers at all, and what is too much in cents too: "
            "`Event.decode(letter.value).payload['amount'] / 100`."),
        reference='''from labsupport import Event


def to_redrive(letters):
    """Those of the dead letters that the mended service can process."""
    chosen = []
    for letter in letters:
        release = dict(letter.headers).get("release")
        if release == b"2.4" and "above the limit" in letter.message:
            if Event.decode(letter.value).payload["amount"] / 100 <= 10_000:
                chosen.append(letter)
    return chosen''',
        explanation="Release 2.4 wrote amounts in cents. The error says what was refused, the header who wrote it, the "
        "value by how much: only together do they say what a fix can help. The others stay where they are. "
        "And amounts in cents below the limit were processed, a hundred times too large: no dead letter tells of them.",
        wrong=(
            Wrong("redriving everything helps everything", _choosing("    return letters"),
                "would be a dead letter again"),
            Wrong("one class of error is one cause",
                _choosing("    return [each for each in letters if each.error.endswith('PermanentError')]"),
                "would be a dead letter again"),
            Wrong("one message is one cause",
                _choosing("    return [each for each in letters if 'limit' in each.message]"),
                "would be a dead letter again"),
            Wrong("a release is to blame for all that it sent",
                _choosing("    return [each for each in letters if dict(each.headers).get('release') == b'2.4']"),
                "would be a dead letter again"),
            Wrong("every record has headers",
                _choosing("    return [e for e in letters if dict(e.headers)['release'] == b'2.4' "
                    "and 'limit' in e.message]"), "KeyError"),
            Wrong("all other releases are as bad",
                _choosing("    return [e for e in letters if dict(e.headers).get('release') != b'2.3' "
                    "and 'limit' in e.message and int(e.message.split()[1]) <= 1_000_000]"), "release=2.2"),
            Wrong("in cents everything is below the limit",
                _choosing("    return [e for e in letters if dict(e.headers).get('release') == b'2.4' "
                    "and 'limit' in e.message]"), "amount 10"),
            Wrong("the limit itself is above the limit",
                _choosing("    return [e for e in letters if dict(e.headers).get('release') == b'2.4' "
                    "and 'limit' in e.message and int(e.message.split()[1]) < 1_000_000]"), "amount 1000000 is above"),
            Wrong("it is safer to send nothing back", _choosing("    return []"), "can be processed now"),
            Wrong("the time tells: all since the first of that release",
                _choosing("    bad = [e.offset for e in letters if (b'2.4') in dict(e.headers).values()]\n"
                    "    return [e for e in letters if bad and e.offset >= min(bad)]"), "would be a dead letter again"),
            Wrong("places are dead letters",
                _choosing("    return [e.place for e in letters]"), "not one of the dead letters"),
        ),
        other_styles=(
            "import json\n\n\ndef helps(letter):\n"
            "    try:\n        payload = json.loads(letter.value)['payload']\n"
            "    except ValueError:\n        return False\n"
            "    return (('release', b'2.4') in letter.headers and payload['amount'] <= 1_000_000\n"
            "        and 'limit' in letter.message)\n\n\n"
            "def to_redrive(letters):\n    return {each for each in letters if helps(each)}",
            _choosing("    import re\n    return [\n        each for each in letters\n"
                "        if (found := re.match(r'amount (\\d+) is above', each.message))\n"
                "        and dict(each.headers)['release'] == b'2.4' and int(found[1]) <= 10_000_00\n    ]"),
        ),
        judge=_chosen,
    ),
    Exercise(
        id="10-2",
        title="The newest stays",
        difficulty="medium",
        minutes=8,
        call="handle(event, database)",
        stub='''def handle(event, database):
    """Keep the newest that is known of the event's order."""
    return ...''',
        hints=(
            "If an event comes late, how can the service know that it knows better already?",
            "Look up the order's version. Write if there is no row, or if the event's version is higher.",
            "`event.payload.get('version', 0)` for those without. And `with database:` around what you write."),
        reference='''def handle(event, database):
    """Keep the newest that is known of the event's order."""
    payload = event.payload
    row = (payload["order_id"], payload["status"], payload.get("version", 0))
    with database:
        database.execute(
            "INSERT INTO orders VALUES (?, ?, ?) ON CONFLICT (order_id) DO UPDATE "
            "SET status = excluded.status, version = excluded.version "
            "WHERE excluded.version > orders.version",
            row,
        )''',
        explanation="The version was counted where the change happened, so it says what is newer, in whatever order "
        "events arrive. Clocks and offsets do not: a redrive gets a new offset, two machines have two clocks. The same "
        "version changes nothing, so what comes twice does no harm. It works because each event says the whole status.",
        wrong=(
            Wrong("the last to arrive is the newest",
                _handling(VERSION + "    if True:\n" + WRITE), "changes nothing"),
            Wrong("the same version may be written again",
                _handling(VERSION + FOUND + "    if found is None or version >= found[0]:\n" + WRITE),
                "changes nothing"),
            Wrong("an inbox keeps old events out",
                "DONE = set()\n\n\n"
                + _handling(VERSION + "    if event.event_id not in DONE:\n" + WRITE
                    + "    DONE.add(event.event_id)"), "changes nothing"),
            Wrong("the event's time tells which is newer",
                "TIMES = {}\n\n\n" + _handling(VERSION + FOUND
                    + "    if found is None or event.timestamp > TIMES.get(order, event.timestamp):\n" + WRITE
                    + "        TIMES[order] = event.timestamp"), "a newer version takes the place"),
            Wrong("versions come without gaps",
                _handling(VERSION + FOUND + "    if found is None or version == found[0] + 1:\n" + WRITE),
                "a newer version takes the place"),
            Wrong("a dict knows the versions",
                "KNOWN = {}\n\n\n" + _handling(VERSION
                    + "    if order not in KNOWN or version > KNOWN[order]:\n        KNOWN[order] = version\n" + WRITE),
                "in the table"),
            Wrong("versions are text",
                _handling(VERSION + FOUND + "    if found is None or str(version) > str(found[0]):\n" + WRITE),
                "version 10"),
            Wrong("every event has a version",
                _handling(VERSION.replace(".get('version', 0)", "['version']") + FOUND
                    + "    if found is None or version > found[0]:\n" + WRITE), "KeyError"),
            Wrong("what has no version is new",
                _handling(ORDER + "    version = event.payload.get('version', 99)\n" + FOUND
                    + "    if found is None or version > found[0]:\n" + WRITE), "version 99"),
            Wrong("a table has one version",
                _handling(VERSION + "    newest = database.execute('SELECT max(version) FROM orders').fetchone()[0]\n"
                    "    if newest is None or version > newest:\n" + WRITE), "which order's version"),
            Wrong("an UPDATE knows which row is meant",
                _handling(VERSION + FOUND + "    with database:\n        if found is None:\n"
                    "            database.execute('INSERT INTO orders VALUES (?, ?, ?)', (order, status, version))\n"
                    "        elif version > found[0]:\n"
                    "            database.execute('UPDATE orders SET status = ?, version = ?', (status, version))"),
                "nothing of other orders"),
            Wrong("version 0 is none",
                _handling(VERSION + FOUND + "    if not found or not found[0] or version > found[0]:\n" + WRITE),
                "or of the same version"),
            Wrong("an order begins with version 1",
                _handling(VERSION + FOUND + "    if version == 1 or (found and version > found[0]):\n" + WRITE),
                "the first that is heard of an order makes it"),
            Wrong("the first that is known stays",
                _handling(VERSION + "    with database:\n"
                    "        database.execute('INSERT OR IGNORE INTO orders VALUES (?, ?, ?)', "
                    "(order, status, version))"), "a newer version takes the place"),
            Wrong("who has opened it closes it",
                _handling(VERSION + FOUND + "    if found is None or version > found[0]:\n" + WRITE
                    + "    database.close()"), "has closed the database"),
            Wrong("the database writes by itself",
                _handling(VERSION + "    database.execute('INSERT OR REPLACE INTO orders VALUES (?, ?, ?)', "
                    "(order, status, version))"), "no row"),
        ),
        other_styles=(
            _handling(VERSION + FOUND + "    if found is None or version > found[0]:\n" + WRITE),
            _handling(VERSION + "    with database:\n"
                "        new = database.execute('INSERT OR IGNORE INTO orders VALUES (?, ?, ?)', "
                "(order, status, version)).rowcount\n"
                "        if not new:\n"
                "            database.execute('UPDATE orders SET status = ?, version = ? '\n"
                "                'WHERE order_id = ? AND version < ?', (status, version, order, version))"),
        ),
        judge=_newest,
        seconds=3.0,
    ),
)
# fmt: on
