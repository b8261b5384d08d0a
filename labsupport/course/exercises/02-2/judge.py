"""02-2: events about one thing get one partition, and the load spreads over the partitions."""

from collections import defaultdict

from labsupport.course.exercise import Exercise, require_the_same_after_a_restart, through_kafka
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.experiments.watching import log
from labsupport.shop import story
from labsupport.shop.event import Event

LONGEST_KEY = 200  # bytes


def _key_of(answer: Submission, lab: Lab) -> str:
    """The shop's events, sent with the learner's keys to topics of three and of five partitions, and read back."""
    for partitions in (3, 5):
        events = (event for seed in range(partitions, partitions + 3) for event in _told_apart(seed))
        records = ({"key": _asked(answer, event), "value": event.encode()} for event in events)
        held = through_kafka(lab, records, partitions)
        _require_one_partition(held)
        _require_spread(held)
    *others, event = (each for each in _told_apart(seed=9) if "order_id" in each.payload)  # not sent above
    rule = "the next producer process would send these events to another partition"

    def after_others() -> bytes:
        return [_asked(answer, each) for each in (*others, event)][-1]

    require_the_same_after_a_restart(answer, event, after_others, answer.called(event), rule)
    return (
        "With 3 and 5 partitions, the events of each order and auction were in one partition, and the load was spread."
    )


def _asked(answer: Submission, event: Event) -> bytes:
    key = answer(event, returns=(bytes, type(None)), asks="bytes")
    if not key:
        raise TryAgain(
            says=f"This {event.event_type} has {'no' if key is None else 'an empty'} key.",
            given=answer.called(event),
            came_back="nothing (None)" if key is None else shown(key),
            rule="a record without a key can go to any partition" if key is None else "an empty key identifies nothing",
            look_at="give each event a key, also the reports: is there a `return` on every path through the function?",
        )
    if len(key) > LONGEST_KEY:
        raise TryAgain(
            says=f"This key has {len(key):,} bytes.",
            given=answer.called(event),
            rule=f"each record stores its key; {LONGEST_KEY} bytes are plenty",
            look_at="a key only identifies what the event is about",
        )
    return key


def _told_apart(seed: int) -> list[Event]:
    """The shop's day, with orders and auctions that no other seed has."""
    renamed = []
    for event in story.events(60, seed):
        payload = {name: f"{value}{seed}" if name.endswith("_id") else value for name, value in event.payload.items()}
        renamed.append(Event(event.event_type, 1, event.event_id, event.timestamp, payload))
    return renamed


def _subject(event: Event) -> str:
    return story.key_of(event).decode()


def _require_one_partition(held: log.Log) -> None:
    places: dict[str, list[tuple[int, Event]]] = defaultdict(list)
    for record in held.records:
        event = Event.decode(record.value)
        places[_subject(event)].append((record.partition, event))
    torn = {name: found for name, found in places.items() if len({partition for partition, _ in found}) > 1}
    if torn:
        name, found = min(torn.items(), key=lambda each: (len(each[1]), each[0]))
        raise TryAgain(
            says=f"The events of {name} are in {len({partition for partition, _ in found})} partitions.",
            story="\n".join(
                f"partition {partition} │ {event.event_type} at {event.timestamp:%H:%M:%S}"
                for partition, event in sorted(found, key=lambda each: (each[0], each[1].timestamp))
            ),
            rule=f"events about one thing are read in order only if they are in one partition; {len(torn)} of "
            f"{len(places)} orders, auctions and reports are split",
            look_at="what do these events have in common, and is it in your key?",
        )


def _require_spread(held: log.Log) -> None:
    """Orders are in at least three partitions; there are few auctions, so two are enough for them."""
    for kind, least in (("ORD", 3), ("AUC", 2)):
        counts = dict.fromkeys(held.ends, 0)
        for record in held.records:
            counts[record.partition] += _subject(Event.decode(record.value)).startswith(kind)
        used = sum(count > 0 for count in counts.values())
        if used < least:
            few = "one partition" if used == 1 else "two partitions"
            raise TryAgain(
                says=f"All events of {'orders' if kind == 'ORD' else 'auctions'} are in {few}.",
                story="\n".join(f"partition {number} │ {count} records" for number, count in sorted(counts.items())),
                rule="three consumers could not share this work: each partition is assigned to one of them",
                look_at="unrelated events may have different keys",
            )


EXERCISE = Exercise(
    id="02-2",
    title="Choose the key",
    difficulty="medium",
    minutes=8,
    call="key_of(event)",
    hints=(
        "Which events must be read in order: all of them, or those about one thing?",
        "An order is created and then paid: which field do both events have? And which field do all bids of an "
        "auction have?",
        "Take `order_id` if the payload has one, otherwise `auction_id`, otherwise `report_id`; then `.encode()`.",
    ),
    explanation="The key identifies what the event is about: events that must be read in order get the same "
    "key. The lab's own function is `story.key_of`.",
    judge=_key_of,
)
