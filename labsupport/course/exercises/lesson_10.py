"""Exercises of lesson 10, how dead letters come back."""

import contextlib
import random
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import permutations, product
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from labsupport.course.answer import Answer, TryAgain, shown
from labsupport.course.exercise import CHECKED, Exercise, Wrong
from labsupport.course.failing import came_out
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
    incident.happen(lab, topic, [*incident.morning(2), *incident.beside_it()])
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
            look_at="return those dead letters themselves, in a list that is new in each call",
        )
    places = {each.place for each in came_back}
    if len(places) < len(came_back):
        often, count = Counter(each.place for each in came_back).most_common(1)[0]
        raise TryAgain(
            says=f"One dead letter comes back {count} times.",
            given=f"{len(given)} dead letter{'s' * (len(given) != 1)}",
            came_back=f"{count} times {often}",
            broken="what is sent back twice is processed twice, if nobody remembers it",
            look_at="in which loop is it added?",
        )
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
    headers = ", ".join(f"{name}={value!r}" for name, value in letter.headers if name != "event_id") or "none"
    error = letter.error.rpartition(".")[2]
    value = log.text(letter.value)
    payload = value.partition('"payload": ')[2] or value
    return f"error: {error}: {letter.message}\nheaders: {headers}\nvalue: … {payload[-150:]}"


# 10-2

TABLE = "CREATE TABLE orders (order_id TEXT PRIMARY KEY, status TEXT NOT NULL, version INTEGER NOT NULL)"
KNOWN = ("paid", 2)  # what an earlier process wrote about an order, in some stories
State = dict[str, tuple[str, int]]


@dataclass(frozen=True)
class Row:
    """What another process has written about an order, between two events."""

    order_id: str
    status: str
    version: int


Story = Sequence[Event | Row]


def _newest(answer: Answer, lab: "Lesson") -> str:
    """Few events in all orders, the shortest stories first; then a real redrive."""
    with tempfile.TemporaryDirectory(dir=lab.settings.home) as folder:
        file = Path(folder, "shop.db")
        with closing(sqlite3.connect(file)) as database, closing(sqlite3.connect(file)) as other:
            database.execute("PRAGMA journal_mode = WAL")  # the other one looks while the first writes
            database.execute("PRAGMA synchronous = OFF")
            database.execute(TABLE)
            database.commit()
            stories = [(known, _renamed(story, number)) for number, (known, story) in enumerate(_stories())]
            for known, story in stories:
                _play(answer, database, other, known, story)
            _play_locked(answer, database, other, _renamed(_changes()[:1], len(stories)))
            _play(answer, database, other, None, _redriven(lab))
    return (
        f"Right in {len(stories)} stories with events that come late, twice, out of order, with gaps, or without a "
        "version, and with another process that writes."
    )


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


def _stories() -> Iterator[tuple[tuple[str, int] | None, Story]]:
    """What is known of the first order, and what comes."""
    changes = _changes()
    for length in (1, 2):
        for known in (None, KNOWN):
            yield from ((known, story) for story in product(changes, repeat=length))
    few = [changes[number] for number in (0, 1, 2, 5, 6)]  # versions 1, 2, 10, none; another order
    yield from ((None, story) for story in permutations(few, 3))
    yield from ((None, (first, second, first)) for first, second in permutations(few, 2))
    order = changes[0].payload["order_id"]
    for first, version in ((0, 5), (1, 5), (0, 20), (1, 20), (2, 20)):  # is the next event newer than that, or not?
        yield KNOWN, (changes[first], Row(order, "returned", version), changes[2])


def _renamed(story: Story, number: int) -> Story:
    """The same with ids of its own, so that no story knows the orders and events of another."""
    return [
        replace(each, order_id=_named(each.order_id, number))
        if isinstance(each, Row)
        else replace(
            each,
            event_id=str(uuid5(NAMESPACE_URL, f"{each.event_id}/{number}")),
            payload={**each.payload, "order_id": _named(each.payload["order_id"], number)},
        )
        for each in story
    ]


def _named(order: str, number: int) -> str:
    """The order's name in that story. One order's is the beginning of the other's."""
    return f"ORD-{number:03}" + "9" * (order == _changes()[-2].payload["order_id"])


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
    story: Story,
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
    _write(other, "DELETE FROM orders", ())
    for order, row in state.items():
        _write(other, WRITE_ROW, (order, *row))
    given = [f"in the table: {_told(state)}"] if known else []
    for each in story:
        given.append(_line(each))
        if isinstance(each, Row):
            state |= {each.order_id: (each.status, each.version)}
            _write(other, WRITE_ROW, (each.order_id, each.status, each.version))
            continue
        with _watched(database, other) as seen:
            answer(each, database, returns=object)
        before, state = state, _after(state, each)
        held = _held(other)
        if held != state:
            _differs(given, each, before, state, held, any(isinstance(one, Row) for one in story))
        if halfway := [between for between in seen if between not in (before, state)]:
            raise TryAgain(
                says="For a moment the table was neither as before nor as after.",
                given="\n".join(given),
                came_back=f"between two transactions: {_told(halfway[0])}",
                broken="a crash at this moment leaves it like that, for ever",
                look_at="how many transactions are these? What belongs together stands in one `with database:`",
            )


def _play_locked(answer: Answer, database: sqlite3.Connection, other: sqlite3.Connection, story: Story) -> None:
    """While another process writes, the database refuses; an error that comes out brings the event again."""
    (event,) = story
    given = [_line(event), "meanwhile another process writes, and the database refuses: OperationalError"]
    database.execute("PRAGMA busy_timeout = 0")
    other.execute("BEGIN IMMEDIATE")
    try:
        raised, _ = came_out(answer, event, database, returns=object)
    finally:
        other.rollback()
    if not raised:
        raise TryAgain(
            says="The database refused, and your function returned as if it were done.",
            given="\n".join(given),
            broken="the service commits the event's offset then, and it never comes again",
            look_at="which `except` keeps the error? Let it out",
        )
    _play(answer, database, other, None, story)


WRITE_ROW = "INSERT OR REPLACE INTO orders VALUES (?, ?, ?)"


def _write(other: sqlite3.Connection, statement: str, row: tuple) -> None:
    """As another process does it. Raises TryAgain if the learner's function keeps it from writing."""
    try:
        with other:
            other.execute(statement, row)
    except sqlite3.OperationalError as error:
        raise TryAgain(
            says="After your function no other process can write.",
            broken=f"the database says: {error}",
            look_at="a transaction is still open: `with database:` commits",
        ) from None


def _held(other: sqlite3.Connection) -> State:
    """What is committed: all that another process sees."""
    return {row[0]: row[1:] for row in other.execute("SELECT order_id, status, version FROM orders")}


@contextlib.contextmanager
def _watched(database: sqlite3.Connection, other: sqlite3.Connection) -> Iterator[list[State]]:
    """What is committed at each statement of the body of a `with`: a crash there would leave that."""
    seen: list[State] = []
    database.set_trace_callback(lambda _: seen.append(_held(other)))
    try:
        yield seen
    finally:
        with contextlib.suppress(sqlite3.ProgrammingError):  # it may be closed
            database.set_trace_callback(None)


def _after(state: State, event: Event) -> State:
    order, version = event.payload["order_id"], event.payload.get("version", 0)
    if order in state and version <= state[order][1]:
        return state
    return state | {order: (event.payload["status"], version)}


def _differs(given: Sequence[str], event: Event, before: State, due: State, held: State, shared: bool) -> None:
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
    if shared and before.get(order, KNOWN) != KNOWN:
        look_at = "another process has written since: is the version read from the table in each call?"
    if held == before and due != before:
        look_at += " And is what you write committed, `with database:`?"
    raise TryAgain(
        says="After the last of these events the table is not as it should be.",
        given="\n".join(given),
        came_back=f"{_told(held)}; due: {_told(due)}",
        broken=broken,
        look_at=look_at,
    )


def _line(event: Event | Row) -> str:
    if isinstance(event, Row):
        return f"another process writes: {event.order_id} {event.status!r} in version {event.version}"
    payload = event.payload
    version = f"version {payload['version']}" if "version" in payload else "without a version"
    return f"{payload['order_id']} is {payload['status']!r}, {version}"


def _told(state: State) -> str:
    return (
        ", ".join(f"{order} {status!r} in version {version}" for order, (status, version) in state.items()) or "no row"
    )


def _choosing(body: str) -> str:
    return f"from labsupport import Event, EventError\n\n\ndef to_redrive(letters):\n{body}"


CENTS = (
    "    return [e for e in letters if {bad} and 'limit' in e.message\n"
    "        and Event.decode(e.value).payload['amount'] <= 1_000_000]"
)


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
        stub='''from labsupport import Event


def to_redrive(letters):
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
                    "and 'limit' in e.message and int(e.message.split()[1]) <= 1_000_000]"), "release=b'2.2'"),
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
            Wrong("a header's value is text",
                _choosing(CENTS.format(bad="dict(e.headers).get('release') == '2.4'")), "release=b'2.4'"),
            Wrong("the customer of the example is the only stranger",
                _choosing(CENTS.format(bad="dict(e.headers).get('release') == b'2.4'").replace(
                    "'limit' in e.message", "b'USR-999' not in e.value and e.value[-1:] == b'}'")),
                "there is no customer USR-731"),
            Wrong("a few cents do not matter",
                _choosing(CENTS.format(bad="dict(e.headers).get('release') == b'2.4'").replace(
                    "<= 1_000_000", "// 100 <= 10_000")), "amount 10000.5 is above"),
            Wrong("all releases since then are as bad",
                _choosing(CENTS.format(bad="dict(e.headers).get('release', b'') >= b'2.4'")), "release=b'2.5'"),
            Wrong("what is not known to be good is bad",
                _choosing(CENTS.format(bad="dict(e.headers).get('release', b'2.2') not in (b'2.2', b'2.3')")),
                "release=b'2.5'"),
            Wrong("the value of a header says which header it is",
                _choosing(CENTS.format(bad="b'2.4' in dict(e.headers).values()")), "schema=b'2.4'"),
            Wrong("more than once is better than not at all",
                _choosing(CENTS.format(bad="dict(e.headers).get('release') == b'2.4'") + " * 2"), "comes back 2 times"),
            Wrong("the list of the last call can be used again",
                _choosing("    chosen += [\n" + CENTS.format(bad="dict(e.headers).get('release') == b'2.4'")[12:]
                    + "\n    return chosen").replace("(letters)", "(letters, chosen=[])", 1),
                "new in each call"),
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
        points_at=("case",),
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
            Wrong("what was read once stays true",
                "CACHE = {}\n\n\n" + _handling(VERSION + "    if order not in CACHE:\n"
                    + FOUND.replace("    found", "        found") + "        CACHE[order] = found[0] if found else -1\n"
                    "    if version > CACHE[order]:\n        CACHE[order] = version\n" + WRITE),
                "another process has written since"),
            Wrong("two transactions are as good as one",
                _handling(VERSION + FOUND + "    if found is None or version > found[0]:\n"
                    "        with database:\n"
                    "            database.execute('DELETE FROM orders WHERE order_id = ?', (order,))\n" + WRITE),
                "between two transactions: no row"),
            Wrong("an id that begins alike is the same",
                _handling(VERSION + FOUND.replace("order_id = ?', (order,)", "order_id LIKE ?', (order + '%',)")
                    + "    if found is None or version > found[0]:\n" + WRITE), "which order's version"),
            Wrong("who fails once need not say so",
                _handling(VERSION + FOUND + "    if found is None or version > found[0]:\n        try:\n"
                    + WRITE.replace("        with", "            with").replace("            database.exe",
                    "                database.exe")
                    + "        except Exception:\n            pass"), "as if it were done"),
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
