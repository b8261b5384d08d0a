"""10-2: the newest version of each order stays, in whatever order its events arrive."""

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import permutations, product
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from labsupport.course.exercise import CHECKED, Exercise
from labsupport.course.exercises.failing_clients import came_out
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain
from labsupport.delivery import dead_letter, publish
from labsupport.experiments.watching import log
from labsupport.history import redrive
from labsupport.shop import story
from labsupport.shop.event import Event

TABLE = "CREATE TABLE orders (order_id TEXT PRIMARY KEY, status TEXT NOT NULL, version INTEGER NOT NULL)"

KNOWN = ("paid", 2)  # in some stories, what an earlier process wrote about the order

State = dict[str, tuple[str, int]]


@dataclass(frozen=True)
class Row:
    """What another process writes about an order between two events."""

    order_id: str
    status: str
    version: int


Story = Sequence[Event | Row]


def _newest(answer: Submission, lab: Lab) -> str:
    """A few events in every order, shortest stories first; then a real redrive."""
    with tempfile.TemporaryDirectory(dir=lab.settings.home) as folder:
        file = Path(folder, "shop.db")
        with closing(sqlite3.connect(file)) as database, closing(sqlite3.connect(file)) as other:
            database.execute("PRAGMA journal_mode = WAL")  # one connection reads while the other writes
            database.execute("PRAGMA synchronous = OFF")
            database.execute(TABLE)
            database.commit()
            stories = [(known, _renamed(story, number)) for number, (known, story) in enumerate(_stories())]
            for known, story in stories:
                _play(answer, database, other, known, story)
            _play_locked(answer, database, other, _renamed(_changes()[:1], len(stories)))
            _play(answer, database, other, None, _redriven(lab))
    return (
        f"Right in {len(stories)} stories: events arrive late, twice, out of order, with gaps or without a "
        f"version, and another process writes."
    )


def _changes() -> list[Event]:
    """Changes of one order, and one of another; version 2 comes from a publisher with a slow clock."""
    one, two = [event for event in story.events(60, seed=3) if event.event_type == "OrderCreated"][:2]
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
    changes[1] = replace(changes[1], timestamp=story.OPENING.replace(hour=1))
    return changes


def _change(event: Event, number: int, status: str, version: int | None) -> Event:
    payload = {**event.payload, "status": status} | ({} if version is None else {"version": version})
    event_id = str(uuid5(NAMESPACE_URL, f"change/{number}"))
    return replace(event, event_id=event_id, payload=payload, timestamp=story.OPENING.replace(minute=31 + number))


def _stories() -> Iterator[tuple[tuple[str, int] | None, Story]]:
    """What the table has of the first order, and what arrives."""
    changes = _changes()
    for length in (1, 2):
        for known in (None, KNOWN):
            yield from ((known, story) for story in product(changes, repeat=length))
    few = [changes[number] for number in (0, 1, 2, 5, 6)]  # versions 1, 2, 10, none; another order
    yield from ((None, story) for story in permutations(few, 3))
    yield from ((None, (first, second, first)) for first, second in permutations(few, 2))
    order = changes[0].payload["order_id"]
    for first, version in (
        (0, 5),
        (1, 5),
        (0, 20),
        (1, 20),
        (2, 20),
    ):  # the next event is newer than that, or it is not
        yield KNOWN, (changes[first], Row(order, "returned", version), changes[2])


def _renamed(story: Story, number: int) -> Story:
    """The same story with new ids, so that no two stories share orders or events."""
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
    """The order's name in that story; one name is a prefix of the other."""
    return f"ORD-{number:03}" + "9" * (order == _changes()[-2].payload["order_id"])


def _redriven(lab: Lab) -> list[Event]:
    """What a handler gets that could not process the first of two events: the second, then the redriven first."""
    topic = lab.topic(CHECKED)
    dead = lab.dead_letters(topic)
    producer = lab.producer(name="check")
    publish.publish(producer, topic, _changes()[:2])
    first, second = log.read(lab, topic).records
    key, value, headers = dead_letter.wrap(first, KeyError("customer"), 1, "check").encode()
    producer.send(dead, value, key, headers).get(timeout=60)
    redrive.redrive(lab.consumer(name="redrive"), producer, redrive.selection(dead))
    *_, again = log.read(lab, topic).records
    return [Event.decode(second.value), Event.decode(again.value)]


def _play(
    answer: Submission,
    database: sqlite3.Connection,
    other: sqlite3.Connection,
    known: tuple[str, int] | None,
    story: Story,
) -> None:
    first = story[0]
    order = first.payload["order_id"] if isinstance(first, Event) else first.order_id
    state: State = {order: known} if known else {}
    try:
        database.rollback()
    except sqlite3.ProgrammingError:
        raise TryAgain(
            says="Your function closed the database.",
            rule="each call gets the same connection",
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
                says="For a moment the table was in a state that is neither old nor new.",
                given="\n".join(given),
                came_back=f"between two transactions: {_told(halfway[0])}",
                rule="a crash at this moment would leave it like that for ever",
                look_at="how many transactions do you use? Put statements that belong together into one `with "
                "database:`",
            )


def _play_locked(answer: Submission, database: sqlite3.Connection, other: sqlite3.Connection, story: Story) -> None:
    """The database refuses while another process writes; after an error the event is delivered again."""
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
            rule="the service then commits the event's offset, and the event is never delivered again",
            look_at="which `except` swallows the error? Let it out",
        )
    _play(answer, database, other, None, story)


WRITE_ROW = "INSERT OR REPLACE INTO orders VALUES (?, ?, ?)"


def _write(other: sqlite3.Connection, statement: str, row: tuple) -> None:
    """Write as another process. Raises TryAgain if the learner's function blocks it."""
    try:
        with other:
            other.execute(statement, row)
    except sqlite3.OperationalError as error:
        raise TryAgain(
            says="After your function returns, no other process can write.",
            rule=f"the database says: {error}",
            look_at="a transaction is still open: `with database:` commits",
        ) from None


def _held(other: sqlite3.Connection) -> State:
    """What is committed, which is all that another process sees."""
    return {row[0]: row[1:] for row in other.execute("SELECT order_id, status, version FROM orders")}


@contextlib.contextmanager
def _watched(database: sqlite3.Connection, other: sqlite3.Connection) -> Iterator[list[State]]:
    """For the body of a `with`: what is committed at each statement, which a crash there would leave."""
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
        rule, look_at = "an event says nothing about other orders", "which rows does your statement change?"
    elif known and due == before:
        rule = "an event that is older than the known version, or of the same version, changes nothing"
        look_at = f"the order has version {known[1]}, and this event {version}: which one is newer?"
        if version is None:
            look_at = "which version does your code assume for an event without one?"
    elif known is None:
        rule = "the first event of an order inserts its row, with the event's version, or 0 if it has none"
        look_at = "do you INSERT a row for an order that has none?"
        if others:
            look_at = "with which order's version do you compare it?"
        if held != before:
            look_at = "which status and version do you write?"
    else:
        rule = "a newer version replaces an older one, even if versions between them are missing"
        look_at = "which two numbers do you compare, and where does the older one come from?"
    if shared and before.get(order, KNOWN) != KNOWN:
        look_at = "another process has written since: do you read the version from the table in each call?"
    if held == before and due != before:
        look_at += " And do you commit what you write, `with database:`?"
    raise TryAgain(
        says="After the last of these events the table is wrong.",
        given="\n".join(given),
        came_back=f"{_told(held)}; expected: {_told(due)}",
        rule=rule,
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


EXERCISE = Exercise(
    id="10-2",
    title="The newest stays",
    difficulty="medium",
    minutes=12,
    call="handle(event, database)",
    hints=(
        "If an event arrives late, how can the service tell that it already has newer data?",
        "Look up the order's version. Write if there is no row, or if the event's version is higher.",
        "Use `event.payload.get('version', 0)` for events without a version, and `with database:` around what "
        "you write.",
    ),
    explanation="The version is counted where the change happens, so it tells which event is newer, in whatever "
    "order they arrive. Clocks and offsets do not: a redriven record gets a new offset, and two machines have "
    "two clocks. An equal version changes nothing, so duplicates do no harm. It works because each event holds "
    "the whole status.",
    judge=_newest,
    seconds=3.0,
)
