"""Exercises of lesson 08, how to make "twice" harmless."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.course.answer import Answer, Failed, TryAgain, shown
from labsupport.course.exercise import Exercise, Wrong, require_the_same_after_a_restart, through_kafka
from labsupport.course.verdict import drawn
from labsupport.events import orders, shop
from labsupport.events.event import Event, EventError
from labsupport.experiments import torture

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

# 08-1

NO_EVENT = 7  # the first of the records that is none


def _memory(answer: Answer, lab: "Lesson") -> str:
    """Every pair of the records of a real topic, the plain ones first; then each once more, and in another topic."""
    records = _records(lab)
    keys = [answer(record, returns=str) for record in records]
    pairs = 0
    for second, first in sorted(combinations(range(len(records)), 2), key=max):
        _compare(records[first], keys[first], records[second], keys[second])
        pairs += 1
    if not pairs:
        raise AssertionError("there are no records")
    for record, key in zip(records, keys, strict=True):
        _compare(record, key, record, answer(record, returns=str))  # handed out again, after a crash
        elsewhere = record._replace(topic="elsewhere")
        _compare(record, key, elsewhere, answer(elsewhere, returns=str))
    here, there = (records[NO_EVENT]._replace(partition=one, offset=two) for one, two in ((1, 12), (11, 2)))
    _compare(here, answer(here, returns=str), there, answer(there, returns=str))  # digits that run together
    broken = "a key that the next process does not know again remembers nothing"
    require_the_same_after_a_restart(answer, records[0], keys[0], _described(records[0]), broken)
    return f"Right for all {pairs} pairs of {len(records)} records."


def _records(lab: "Lesson") -> list[ConsumerRecord]:
    """The records as a consumer gets them, in the order in which they were sent."""
    created, paid, *_ = _created_and_paid()
    twin, like = (
        Event.decode(created.encode().replace(created.event_id.encode(), other.encode()))
        for other in ("00000000-0000-4000-8000-000000000001", _but_one_digit(created.event_id))
    )
    spaced = json.dumps(json.loads(created.encode(), parse_float=str), indent=1).replace(
        f'"{created.payload["amount"]}"', str(created.payload["amount"])
    )
    key = {"key": shop.key_of(created)}
    sent = [
        {"value": created.encode(), "headers": created.headers(), "partition": 0} | key,
        {"value": paid.encode(), "headers": paid.headers(), "partition": 0} | key,
        {"value": created.encode(), "headers": created.headers(), "partition": 0} | key,
        {"value": twin.encode(), "headers": twin.headers(), "partition": 0} | key,
        {"value": created.encode(), "headers": created.headers(), "partition": 1} | key,
        {"value": created.encode(), "headers": [("redriven", b"1")], "partition": 1} | key,
        {"value": spaced.encode(), "partition": 1},
        {"value": b"not an event", "partition": 0} | key,
        {"value": b"not an event", "partition": 1} | key,
        {"value": b"not an event", "partition": 1} | key,
        {"partition": 1} | key,
        {"value": like.encode(), "headers": like.headers(), "partition": 0} | key,
    ]
    held = through_kafka(lab, sent, partitions=2).records
    by_partition: dict[int, Iterator[ConsumerRecord]] = {
        number: iter([record for record in held if record.partition == number]) for number in (0, 1)
    }
    return [next(by_partition[record["partition"]]) for record in sent]


def _created_and_paid() -> tuple[Event, ...]:
    """An order and its payment: two events with one key."""
    events = shop.events(40, seed=1)
    created = next(event for event in events if event.event_type == "OrderCreated")
    return created, *(e for e in events if shop.key_of(e) == shop.key_of(created) and e is not created)


def _id(record: ConsumerRecord) -> str:
    try:
        return Event.decode(record.value).event_id
    except EventError:
        return f"{record.topic}-{record.partition}-{record.offset}"


def _compare(first: ConsumerRecord, key: str, second: ConsumerRecord, other: str) -> None:
    same = _id(first) == _id(second)
    if (key == other) == same:
        return
    broken = "records of one event have to be remembered by one key: or it has its effect again"
    look_at = "what do both records have in common, and no record of another event?"
    if not same:
        broken = "what is remembered by one key is taken for one event: the second would never have its effect"
        look_at = "which of the two would be left out now?"
    raise TryAgain(
        says=f"These are {'one event' if same else 'two events'}, with {'two keys' if same else 'one key'}.",
        given=f"{_described(first)}\n{_described(second)}",
        came_back=f"{shown(key)} and {shown(other)}",
        broken=broken,
        look_at=look_at,
    )


def _but_one_digit(event_id: str) -> str:
    """Another id that begins and ends alike: 20 of the 36 characters before the digit, 15 after it."""
    return event_id[:20] + ("1" if event_id[20] == "0" else "0") + event_id[21:]


def _described(record: ConsumerRecord) -> str:
    place = f"topic {record.topic}, partition {record.partition}, offset {record.offset}"
    try:
        event = Event.decode(record.value)
    except EventError as error:
        return f"{place}: no event ({error.problem})"
    headers = ", headers: " + (", ".join(name for name, _ in record.headers) or "none")
    return f"{place}: {event.event_type} {event.event_id}, key {record.key!r}{headers}"


# 08-2


def _survives(answer: Answer, lab: "Lesson") -> str:
    """Here first, where an error has its line; then in consumers that die."""
    events = [each for each in shop.events(30, seed=2) if each.event_type == "OrderCreated"][:4]
    with tempfile.TemporaryDirectory(dir=lab.settings.home) as folder:
        _at_ease(answer, events[:3], Path(folder, "shop.db"))
        _locked(answer, events[3], Path(folder, "shop.db"))
    judged = torture.judge(lab, handle=answer.value)
    if story := judged.story:
        from labsupport.experiments import plots  # here: it takes longer to import than all the rest

        raise TryAgain(
            timed=story.timed,
            says=story.says,
            story=torture.told(story),
            broken=BROKEN.get(story.broken, ""),
            printed=story.printed[-600:].strip(),
            look_at=LOOK_AT.get(story.broken, "what did it print?"),
            picture=drawn(plots.spacetime(story.moments)),
        )
    return f"{judged.tried} trials: each event has one effect, wherever the process died, froze, or was thrown out."


BROKEN = {
    "lost": "an event that is remembered, or committed, without its effect never gets it",
    "twice": "an event that comes again has its effect again, if nobody remembers it",
    "strangers": "a row in effects carries the id of its event",
}
LOOK_AT = {
    "lost": "what is committed in the database at that moment: the mark, the effect, both?",
    "twice": "what is committed in the database at that moment, and who looks before the effect?",
    "strangers": "which id do you insert?",
    "no end": "what does your code do when an event comes a second time?",
}


def _at_ease(answer: Answer, events: list[Event], database: Path) -> None:
    """Nobody dies: what it has written is there for another connection to see."""
    with closing(orders.database(database)) as connection:
        for number, event in enumerate(events, 1):
            answer(event, connection, returns=object)
            effects = orders.effects(database)
            if strangers := effects.keys() - {each.event_id for each in events}:
                raise TryAgain(
                    says=f"There is an effect of {strangers.pop()!r}, which is the id of no event.",
                    given=answer.called(event, connection),
                    broken=BROKEN["strangers"],
                    look_at=LOOK_AT["strangers"],
                )
            if sum(effects.values()) < number:
                raise TryAgain(
                    says=f"After handle(event {number}) another connection sees {sum(effects.values())} effects.",
                    given=answer.called(event, connection),
                    broken="what is not committed in the database is gone when the process dies",
                    look_at="is there a row in effects, and a `with database:` around it?",
                )


def _locked(answer: Answer, event: Event, database: Path) -> None:
    """It may raise or wait while the database is locked; it may not return as if the effect were there."""
    with closing(orders.database(database)) as other, closing(orders.database(database, patience=0.1)) as connection:
        other.execute("BEGIN IMMEDIATE")
        try:
            answer(event, connection, returns=object)
        except Failed:
            return
    raise TryAgain(
        says="The database was locked, nothing could be written, and yet handle returned.",
        given=answer.called(event, connection),
        broken="its consumer then commits the event, which never has its effect: lost",
        look_at="which errors does it catch? What cannot be written has to come out of handle, and comes again",
    )


def _key(body: str) -> str:
    return f"from labsupport import Event, EventError\n\n\ndef memory_key(record):\n{body}"


PLACE = "f'{record.topic}-{record.partition}-{record.offset}'"


def _handler(body: str) -> str:
    return f"""from labsupport import inbox, orders


def handle(event, database):
{body}"""


SEEN = (
    "    if database.execute('SELECT 1 FROM inbox WHERE event_id = ?', (event.event_id,)).fetchone():\n        return\n"
)
MARK = "database.execute('INSERT INTO inbox VALUES (?, 0)', (event.event_id,))\n"
MARK_AGAIN = "database.execute('INSERT OR IGNORE INTO inbox VALUES (?, 0)', (event.event_id,))\n"
EFFECT = "orders.effect(database, event)\n"

# fmt: off
EXERCISES = (
    Exercise(
        id="08-1",
        title="What to remember it by",
        difficulty="medium",
        minutes=7,
        call="memory_key(record)",
        stub='''def memory_key(record):
    """The text by which this record's event is remembered."""
    return ...''',
        hints=(
            "If an event is published again, what is the same about the two records, and what is not?",
            "`Event.decode(record.value)` gives the event. What in it was made once, for this event alone?",
            "Where `EventError` is raised, put topic, partition and offset together."),
        reference='''from labsupport import Event, EventError


def memory_key(record):
    """The text by which this record's event is remembered."""
    try:
        return Event.decode(record.value).event_id
    except EventError:
        return f"{record.topic}-{record.partition}-{record.offset}"''',
        explanation="The id was made once, by whoever published the event, and travels with it wherever it is sent. "
        "Offset, partition, headers and spacing belong to a record, the key to an order. What has no id has a place.",
        wrong=(
            Wrong("the offset is a good id", _key("    return str(record.offset)"), "These are one event"),
            Wrong("topic, partition and offset are a good id", _key(f"    return {PLACE}"), "These are one event"),
            Wrong("the key is a primary key",
                _key("    return record.key.decode() if record.key else str(record.offset)"),
                "These are two events, with one key"),
            Wrong("the same bytes are the same event, and other bytes another",
                _key("    return repr(record.value)"), "These are one event, with two keys"),
            Wrong("what is no event has one key, too",
                _key("    try:\n        return Event.decode(record.value).event_id\n"
                    "    except EventError:\n        return 'unknown'"), "would never have its effect"),
            Wrong("the headers always have the id",
                _key("    return dict(record.headers)['event_id'].decode()"), "KeyError"),
            Wrong("an id is good in its partition",
                _key("    try:\n        return f'{record.partition} {Event.decode(record.value).event_id}'\n"
                    f"    except EventError:\n        return {PLACE}"), "These are one event, with two keys"),
            Wrong("what has no id gets a new one",
                "from uuid import uuid4\n" + _key("    try:\n        return Event.decode(record.value).event_id\n"
                    "    except EventError:\n        return str(uuid4())"), "it has its effect again"),
            Wrong("partition and offset are a place",
                _key("    try:\n        return Event.decode(record.value).event_id\n"
                    "    except EventError:\n        return f'{record.partition}-{record.offset}'"), "topic elsewhere"),
            Wrong("a hash is as good as the id",
                _key("    try:\n        return str(hash(Event.decode(record.value).event_id))\n"
                    f"    except EventError:\n        return {PLACE}"), "After a restart the same"),
            Wrong("an offset is enough for what is no event",
                _key("    try:\n        return Event.decode(record.value).event_id\n"
                    "    except EventError:\n        return 'no event ' + str(record.value)"),
                "These are two events, with one key"),
            Wrong("the id is what is shown of it",
                _key("    try:\n        return Event.decode(record.value).event_id[:8]\n"
                    f"    except EventError:\n        return {PLACE}"), "These are two events, with one key"),
            Wrong("the end of an id is enough",
                _key("    try:\n        return Event.decode(record.value).event_id[-12:]\n"
                    f"    except EventError:\n        return {PLACE}"), "These are two events, with one key"),
            Wrong("numbers side by side stay two numbers",
                _key("    try:\n        return Event.decode(record.value).event_id\n"
                    "    except EventError:\n        return f'{record.topic}{record.partition}{record.offset}'"),
                "partition 11, offset 2"),
        ),
        other_styles=(
            "import json\n\n\ndef memory_key(record):\n"
            "    try:\n        return 'id ' + json.loads(record.value)['event_id']\n"
            "    except (TypeError, ValueError, KeyError):\n"
            "        return repr((record.topic, record.partition, record.offset))",
            "from labsupport import reading\n\n\ndef memory_key(record):\n    return reading.id_of(record)",
        ),
        judge=_memory,
    ),
    Exercise(
        id="08-2",
        title="A handler that survives",
        difficulty="hard",
        minutes=12,
        call="handle(event, database)",
        file="handler.py",
        stub='''def handle(event, database):
    """One row in effects for this event, however often it comes."""
    return ...''',
        hints=(
            "If the process dies between two of your statements, what is in the database then?",
            "Mark and effect in one `with database:`; and the effect only if the mark was not there.",
            "`database.execute('INSERT OR IGNORE INTO inbox VALUES (?, 0)', (event.event_id,)).rowcount` is 1 if it "
            "is new. Then `INSERT INTO effects VALUES (?, ?, ?)`, in the same `with`."),
        reference='''from labsupport import shop


def handle(event, database):
    """One row in effects for this event, however often it comes."""
    row = (event.event_id, shop.key_of(event).decode(), str(event.payload["amount"]))
    with database:
        mark = "INSERT OR IGNORE INTO inbox VALUES (?, 0)"
        if database.execute(mark, (event.event_id,)).rowcount == 1:
            database.execute("INSERT INTO effects VALUES (?, ?, ?)", row)''',
        explanation="The mark is inserted first and says whether it was new: to look and to remember are one step, so "
        "that no other process comes in between. The effect is in the same transaction: both are there, or neither.",
        wrong=(
            Wrong("a crash is so rare that nothing has to be remembered",
                _handler(f"    with database:\n        {EFFECT}"), "came again"),
            Wrong("remembering it afterwards is enough",
                _handler(f"{SEEN}    with database:\n        {EFFECT}    with database:\n        {MARK}"),
                "came again"),
            Wrong("remembering it before is safe",
                _handler(f"{SEEN}    with database:\n        {MARK}    with database:\n        {EFFECT}"), "is lost"),
            Wrong("a set in the program remembers",
                "from labsupport import orders\n\nDONE = set()\n\n\ndef handle(event, database):\n"
                "    if event.event_id not in DONE:\n"
                f"        with database:\n            {EFFECT}"
                "        DONE.add(event.event_id)", "came again"),
            Wrong("an upsert is idempotent",
                _handler("    row = (event.event_id, '', '')\n    with database:\n"
                    "        database.execute('INSERT OR REPLACE INTO effects VALUES (?, ?, ?)', row)"), "came again"),
            Wrong("looking first and writing later is one step",
                _handler(f"{SEEN}    with database:\n        {MARK_AGAIN}        {EFFECT}"), "came again"),
            Wrong("an error is as good as leaving it alone",
                _handler(f"    with database:\n        {EFFECT}        {MARK}"), "UNIQUE constraint failed"),
            Wrong("the database writes by itself",
                _handler(f"    {MARK_AGAIN}    {EFFECT}"), "another connection sees 0"),
            Wrong("the only error is an id that is there already",
                _handler("    try:\n"
                    f"        with database:\n            {MARK}            {EFFECT}"
                    "    except Exception:\n        pass"), "The database was locked"),
            Wrong("an order's events are one event",
                _handler("    mark = ('INSERT OR IGNORE INTO inbox VALUES (?, 0)', (event.payload['order_id'],))\n"
                    f"    with database:\n        if database.execute(*mark).rowcount:\n            {EFFECT}"),
                "is lost"),
            Wrong("the order is the event",
                _handler("    key = event.payload['order_id']\n    with database:\n"
                    "        if database.execute('INSERT OR IGNORE INTO inbox VALUES (?, 0)', (key,)).rowcount:\n"
                    "            database.execute('INSERT INTO effects VALUES (?, ?, ?)', (key, key, ''))"),
                "the id of no event"),
        ),
        other_styles=(
            _handler("    inbox.once(database, event.event_id, lambda: orders.effect(database, event))"),
            "import sqlite3\n\n" + _handler("    try:\n"
                f"        with database:\n            {MARK}            {EFFECT}"
                "    except sqlite3.IntegrityError:\n        pass"),
            _handler("    with database:\n"
                "        database.execute('INSERT INTO effects SELECT ?, ?, ? WHERE NOT EXISTS '\n"
                "            '(SELECT 1 FROM effects WHERE event_id = ?)', (event.event_id, '', '', event.event_id))"),
            _handler("    database.execute('BEGIN IMMEDIATE')\n"
                "    seen = database.execute('SELECT 1 FROM inbox WHERE event_id = ?', (event.event_id,)).fetchone()\n"
                f"    if not seen:\n        {MARK}        {EFFECT}"
                "    database.commit()"),
        ),
        judge=_survives,
        seconds=3.0,
    ),
)
# fmt: on
