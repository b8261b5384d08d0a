"""08-1: two records give the same text exactly if they hold the same event."""

import json
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord

from labsupport.course.exercise import Exercise, require_the_same_after_a_restart, through_kafka
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.errors import EventError
from labsupport.shop import story
from labsupport.shop.event import Event

NO_EVENT = 7  # index of the first record that holds no event


def _memory(answer: Submission, lab: Lab) -> str:
    """Every pair of records of a real topic, plain ones first; then each redelivered, and in another topic."""
    records = _records(lab)
    keys = [answer(record, returns=str) for record in records]
    pairs = 0
    for second, first in sorted(combinations(range(len(records)), 2), key=max):
        _compare(records[first], keys[first], records[second], keys[second])
        pairs += 1
    if not pairs:
        raise AssertionError("there are no records")
    for record, key in zip(records, keys, strict=True):
        _compare(record, key, record, answer(record, returns=str))  # redelivered after a crash
        elsewhere = record._replace(topic="elsewhere")
        _compare(record, key, elsewhere, answer(elsewhere, returns=str))
    for one, other in ((("t", 1, 12), ("t", 11, 2)), (("t1", 1, 2), ("t", 11, 2))):  # digits that run together
        here, there = (
            records[NO_EVENT]._replace(topic=topic, partition=partition, offset=offset)
            for topic, partition, offset in (one, other)
        )
        _compare(here, answer(here, returns=str), there, answer(there, returns=str))
    rule = "the next process will not find a text that it computes differently"
    require_the_same_after_a_restart(answer, records[0], keys[0], _described(records[0]), rule)
    return f"Right for all {pairs} pairs of {len(records)} records."


def _records(lab: Lab) -> list[ConsumerRecord]:
    """The records as a consumer gets them, in the order of sending."""
    created, paid, *_ = _created_and_paid()
    twin, like = (
        Event.decode(created.encode().replace(created.event_id.encode(), other.encode()))
        for other in ("00000000-0000-4000-8000-000000000001", _but_one_digit(created.event_id))
    )
    spaced = json.dumps(json.loads(created.encode(), parse_float=str), indent=1).replace(
        f'"{created.payload["amount"]}"', str(created.payload["amount"])
    )
    key = {"key": story.key_of(created)}
    sent: list[dict[str, Any]] = [
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
    """A value with an id that Event.decode refuses."""
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
    rule = "two records of one event must give the same text, or the event takes effect twice"
    look_at = "what do both records have in common that no record of another event has?"
    if not same:
        rule = "records with the same text count as one event: the second would never take effect"
        look_at = "which of the two events would be skipped now?"
    raise TryAgain(
        says="Your function gives two texts for one event." if same else "Your function gives one text for two events.",
        given=f"{_described(first)}\n{_described(second)}",
        came_back=f"{shown(key)} and {shown(other)}",
        rule=rule,
        look_at=look_at,
    )


def _but_one_digit(event_id: str) -> str:
    """Another id with the same beginning and end: 20 of 36 characters before the changed digit, 15 after it."""
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
        "If an event is published again, what is the same in both records, and what differs?",
        "`Event.decode(record.value)` gives the event. Which field was made once, for this event only?",
        "If it raises `EventError`, combine topic, partition and offset.",
    ),
    explanation="The publisher made the id once, and it travels with the event. Offset, partition, headers and "
    "spacing belong to a record, the key to an order. A record without an id still has its coordinates: topic, "
    "partition and offset.",
    judge=_memory,
)
