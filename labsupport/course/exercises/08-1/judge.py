"""08-1: two records give the same text exactly if they hold the same event."""

import json
from collections.abc import Iterator
from itertools import combinations

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.course.exercise import Exercise, require_the_same_after_a_restart, through_kafka
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.errors import EventError
from labsupport.shop import story
from labsupport.shop.event import Event

NO_EVENT = 7  # the first of the records that is none


def _memory(answer: Submission, lab: Lab) -> str:
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
    for one, other in ((("t", 1, 12), ("t", 11, 2)), (("t1", 1, 2), ("t", 11, 2))):  # digits that run together
        here, there = (
            records[NO_EVENT]._replace(topic=topic, partition=partition, offset=offset)
            for topic, partition, offset in (one, other)
        )
        _compare(here, answer(here, returns=str), there, answer(there, returns=str))
    rule = "a text that the next process does not make again is never found"
    require_the_same_after_a_restart(answer, records[0], keys[0], _described(records[0]), rule)
    return f"Right for all {pairs} pairs of {len(records)} records."


def _records(lab: Lab) -> list[ConsumerRecord]:
    """The records as a consumer gets them, in the order in which they were sent."""
    created, paid, *_ = _created_and_paid()
    twin, like = (
        Event.decode(created.encode().replace(created.event_id.encode(), other.encode()))
        for other in ("00000000-0000-4000-8000-000000000001", _but_one_digit(created.event_id))
    )
    spaced = json.dumps(json.loads(created.encode(), parse_float=str), indent=1).replace(
        f'"{created.payload["amount"]}"', str(created.payload["amount"])
    )
    key = {"key": story.key_of(created)}
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
        {"value": _without_payload(created), "headers": created.headers(), "partition": 0} | key,
        {"value": _without_payload(created), "headers": created.headers(), "partition": 1} | key,
    ]
    held = through_kafka(lab, sent, partitions=2).records
    by_partition: dict[int, Iterator[ConsumerRecord]] = {
        number: iter([record for record in held if record.partition == number]) for number in (0, 1)
    }
    return [next(by_partition[record["partition"]]) for record in sent]


def _created_and_paid() -> tuple[Event, ...]:
    """An order and its payment: two events with one key."""
    events = story.events(40, seed=1)
    created = next(event for event in events if event.event_type == "OrderCreated")
    return created, *(e for e in events if story.key_of(e) == story.key_of(created) and e is not created)


def _without_payload(event: Event) -> bytes:
    """A value that has an id, and that Event.decode refuses."""
    return json.dumps({name: value for name, value in json.loads(event.encode()).items() if name != "payload"}).encode()


def _id(record: ConsumerRecord) -> str:
    try:
        return Event.decode(record.value).event_id
    except EventError:
        return f"{record.topic}-{record.partition}-{record.offset}"


def _compare(first: ConsumerRecord, key: str, second: ConsumerRecord, other: str) -> None:
    same = _id(first) == _id(second)
    if (key == other) == same:
        return
    rule = "two records of one event must give the same text, or the event has its effect again"
    look_at = "what do both records have in common, and no record of another event?"
    if not same:
        rule = "two records with the same text are taken for one event: the second would never have its effect"
        look_at = "which of the two would be left out now?"
    raise TryAgain(
        says="One event is remembered by two texts." if same else "Two events are remembered by one text.",
        given=f"{_described(first)}\n{_described(second)}",
        came_back=f"{shown(key)} and {shown(other)}",
        rule=rule,
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


EXERCISE = Exercise(
    id="08-1",
    title="What to remember it by",
    difficulty="medium",
    minutes=7,
    call="memory_key(record)",
    hints=(
        "If an event is published again, what is the same about the two records, and what is not?",
        "`Event.decode(record.value)` gives the event. What in it was made once, for this event alone?",
        "Where `EventError` is raised, put topic, partition and offset together.",
    ),
    explanation="The id was made once, by whoever published the event, and travels with it wherever it is sent. "
    "Offset, partition, headers and spacing belong to a record, the key to an order. What has no id has a place.",
    judge=_memory,
)
