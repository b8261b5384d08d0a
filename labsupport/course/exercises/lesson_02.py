"""Exercises of lesson 02, where an event goes."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import permutations
from typing import TYPE_CHECKING

from labsupport.course.answer import Answer, TryAgain, as_set, shown
from labsupport.course.exercise import Exercise, Wrong, require_the_same_after_a_restart, through_kafka
from labsupport.events import shop
from labsupport.events.event import Event
from labsupport.experiments import log

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

LONGEST_KEY = 200  # bytes
Numbered = tuple[str, int]  # the key of a record, and which of that key's records it is: 1, 2, 3 …


def _disordered(records: Sequence[Numbered]) -> set[str]:
    numbers: dict[str, list[int]] = defaultdict(list)
    for key, number in records:
        numbers[key].append(number)
    return {key for key, listed in numbers.items() if listed != sorted(listed)}


def _out_of_order(answer: Answer, lab: "Lesson") -> str:
    """Every order of reading of up to four records of two keys, the fewest first; then a real topic without keys."""
    whole = [
        [("A", 1), ("A", 2), ("A", 3), ("B", 1)],
        [("A", 1), ("A", 2), ("B", 1), ("B", 2)],
        [("B", 1), ("B", 2), ("A", 1)],
        [("A", 2), ("A", 4), ("B", 3)],  # some were missed
        [("A", 1), ("A", 1), ("A", 2), ("B", 1)],  # one was read twice
    ]
    parts = {tuple(records[:length]) for records in whole for length in range(5)}
    small = {order for part in parts for order in permutations(part)}
    for records in sorted(small, key=lambda each: (len(each), each)):
        _compare_keys(answer, list(records))
    read = _scattered(lab)
    _compare_keys(answer, read)
    return f"Right for all {len(small)} ways to read up to four records, and for {len(read)} from a real topic."


def _compare_keys(answer: Answer, records: list[Numbered]) -> None:
    came_back, right = answer(records, returns=Collection, asks="a set or a list"), _disordered(records)
    if as_set(came_back) != right:
        missed = sorted(right - as_set(came_back))
        raise TryAgain(
            says=f"{'No key is' if not right else 'The keys ' + str(sorted(right)) + ' are'} out of order here.",
            story=" → ".join(f"{key} {number}" for key, number in records[:20]) or "(nothing was read)",
            came_back=shown(came_back),
            broken=_misjudged(missed, records),
            look_at="compare each record with the earlier records of the same key, and with no others",
        )


def _misjudged(missed: Sequence[str], records: Sequence[Numbered]) -> str:
    if missed:
        return f"{missed[0]} was missed: one of its records was read after a later one of the same key"
    if len({key for key, _ in records}) == 1:
        return "a number that is missing or comes twice is not out of order: none came after a later one"
    return "order is a promise within a key (one partition); between keys there is none to break"


def _scattered(lab: "Lesson") -> list[Numbered]:
    """Records of six keys, spread over three partitions in turn, as a consumer may read them."""
    # Half of the keys always go to one partition, as Kafka does it; the others in turn.
    records = (
        {"key": b"ORD-%d" % key, "value": b"%d" % number, "partition": key if key < 3 else (key + number) % 3}
        for number in range(1, 13)
        for key in range(6)
    )
    return [(record.key.decode(), int(record.value)) for record in through_kafka(lab, records, partitions=3).records]


def _key_of(answer: Answer, lab: "Lesson") -> str:
    """The shop's events, sent with the learner's keys to topics of three and of five partitions, and read back."""
    for partitions in (3, 5):
        events = (event for seed in range(partitions, partitions + 3) for event in _told_apart(seed))
        records = ({"key": _asked(answer, event), "value": event.encode()} for event in events)
        held = through_kafka(lab, records, partitions)
        _require_one_partition(held)
        _require_spread(held)
    *others, event = (each for each in _told_apart(seed=9) if "order_id" in each.payload)  # none was sent above
    broken = "the producer's next process puts these events into another partition"

    def after_others() -> bytes:
        return [_asked(answer, each) for each in (*others, event)][-1]

    require_the_same_after_a_restart(answer, event, after_others, answer.called(event), broken)
    return (
        "In topics of 3 and 5 partitions: the events of each order and auction in one partition, and the load spread."
    )


def _asked(answer: Answer, event: Event) -> bytes:
    key = answer(event, returns=(bytes, type(None)), asks="bytes")
    if not key:
        raise TryAgain(
            says=f"This {event.event_type} has {'no' if key is None else 'an empty'} key.",
            given=answer.called(event),
            came_back="nothing (None)" if key is None else shown(key),
            broken="a record without a key goes to any partition" if key is None else "an empty key names nothing",
            look_at="give each event a key, the reports too: is there a `return` on every way through the function?",
        )
    if len(key) > LONGEST_KEY:
        raise TryAgain(
            says=f"This key has {len(key):,} bytes.",
            given=answer.called(event),
            broken=f"a key is stored with every record; {LONGEST_KEY} bytes are plenty",
            look_at="a key names what the event is about, and no more",
        )
    return key


def _told_apart(seed: int) -> list[Event]:
    """The shop's day, where the orders and auctions of one seed are not those of another."""
    renamed = []
    for event in shop.events(60, seed):
        payload = {name: f"{value}{seed}" if name.endswith("_id") else value for name, value in event.payload.items()}
        renamed.append(Event(event.event_type, 1, event.event_id, event.timestamp, payload))
    return renamed


def _subject(event: Event) -> str:
    return shop.key_of(event).decode()


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
            broken=f"events about one thing are read in order only if they lie in one partition; "
            f"{len(torn)} of {len(places)} orders, auctions and reports are torn apart",
            look_at="what do these events have in common, and is it in your key?",
        )


def _require_spread(held: log.Log) -> None:
    """The orders are in three partitions at least; of auctions there are so few that two must do."""
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
                broken="three consumers could not share this work: each partition is read by one of them",
                look_at="events that have nothing to do with each other may have different keys",
            )


EXERCISES = (
    Exercise(
        id="02-1",
        title="Whose order is broken?",
        difficulty="medium",
        minutes=8,
        call="out_of_order(records)",
        stub='''def out_of_order(records):
    """The keys of which a record was read after a later one."""
    return ...''',
        hints=(
            "`[('A', 1), ('B', 1), ('A', 2)]`: what do you compare `('A', 2)` with?",
            "Remember, for each key, the number that was read last: a dict does it.",
            "If the number is smaller than the one remembered for its key, that key is out of order.",
        ),
        reference='''def out_of_order(records):
    """The keys of which a record was read after a later one."""
    last, broken = {}, set()
    for key, number in records:
        if number < last.get(key, 0):
            broken.add(key)
        last[key] = number
    return broken''',
        explanation="Only records of the same key are compared: Kafka keeps the order within a partition, and a key's "
        "records are in one. Between keys any order may be met, and none is wrong.",
        wrong=(
            Wrong(
                "a topic has one order",
                "def out_of_order(records):\n"
                "    numbers = [n for k, n in records]\n"
                "    return {k for k, n in records} if numbers != sorted(numbers) else set()",
                "between keys there is none to break",
            ),
            Wrong(
                "a record is compared with the one read before it, whatever its key",
                "def out_of_order(records):\n    return {b[0] for a, b in zip(records, records[1:]) if b[1] < a[1]}",
                "between keys there is none to break",
            ),
            Wrong(
                "the same key's records come one right after the other",
                "def out_of_order(records):\n"
                "    return {b[0] for a, b in zip(records, records[1:]) if a[0] == b[0] and b[1] < a[1]}",
                "was missed",
            ),
            Wrong(
                "nothing is ever missing",
                "def out_of_order(records):\n"
                "    last, broken = {}, set()\n"
                "    for key, number in records:\n"
                "        if number != last.get(key, 0) + 1:\n"
                "            broken.add(key)\n"
                "        last[key] = number\n"
                "    return broken",
                "No key is out of order here",
            ),
            Wrong(
                "a record that is read twice is out of order",
                "def out_of_order(records):\n"
                "    last, broken = {}, set()\n"
                "    for key, number in records:\n"
                "        if number <= last.get(key, 0):\n"
                "            broken.add(key)\n"
                "        last[key] = number\n"
                "    return broken",
                "No key is out of order here",
            ),
            Wrong(
                "what was read in the call before comes before this",
                "last = {}\n\n"
                "def out_of_order(records):\n"
                "    broken = set()\n"
                "    for key, number in records:\n"
                "        if number < last.get(key, 0):\n"
                "            broken.add(key)\n"
                "        last[key] = number\n"
                "    return broken",
                "none came after a later one",
            ),
            Wrong(
                "numbers are texts",
                "def out_of_order(records):\n"
                "    last, broken = {}, set()\n"
                "    for key, number in records:\n"
                "        if str(number) < last.get(key, ''):\n"
                "            broken.add(key)\n"
                "        last[key] = str(number)\n"
                "    return broken",
                "between keys there is none to break",
            ),
            Wrong(
                "what was read already is skipped",
                "def out_of_order(records):\n"
                "    last, broken = {}, set()\n"
                "    for key, number in dict.fromkeys(records):\n"
                "        if number < last.get(key, 0):\n"
                "            broken.add(key)\n"
                "        last[key] = number\n"
                "    return broken",
                "was missed",
            ),
            Wrong(
                "a key is fine if its first record comes first",
                "def out_of_order(records):\n"
                "    first, least = {}, {}\n"
                "    for key, number in records:\n"
                "        first.setdefault(key, number)\n"
                "        least[key] = min(number, least.get(key, number))\n"
                "    return {key for key in first if first[key] != least[key]}",
                "was missed",
            ),
        ),
        other_styles=(
            "import numpy\n\n"
            "def out_of_order(records):\n"
            "    numbers = {}\n"
            "    for key, number in records:\n"
            "        numbers.setdefault(key, []).append(number)\n"
            "    return numpy.array([key for key, listed in numbers.items() if (numpy.diff(listed) < 0).any()])",
            "def out_of_order(records):\n"
            "    return dict.fromkeys(k for i, (k, n) in enumerate(records) if (k, n) and any(\n"
            "        k == other and number > n for other, number in records[:i])).keys()",
            "def out_of_order(records):\n"
            "    keys = {key for key, _ in records}\n"
            "    return [k for k in keys if (of_k := [n for key, n in records if key == k]) != sorted(of_k)]",
            "import pandas\n\n"
            "def out_of_order(records):\n"
            "    if not records:\n"
            "        return []\n"
            "    frame = pandas.DataFrame(records, columns=['key', 'n'])\n"
            "    rising = frame.groupby('key')['n'].apply(lambda n: n.is_monotonic_increasing)\n"
            "    return rising[~rising].index",
        ),
        judge=_out_of_order,
    ),
    Exercise(
        id="02-2",
        title="Choose the key",
        difficulty="medium",
        minutes=8,
        call="key_of(event)",
        stub='''def key_of(event):
    """The key of this event's record, as bytes."""
    return ...''',
        hints=(
            "Which events does somebody have to read in their order: all of them, or those about one thing?",
            "An order is created and then paid: which field do both events have? And which do all bids of an auction?",
            "Take `order_id` if the payload has one, otherwise `auction_id`, otherwise `report_id`; then `.encode()`.",
        ),
        reference='''def key_of(event):
    """The key of this event's record, as bytes."""
    for field in ("order_id", "auction_id", "report_id"):
        if field in event.payload:
            return event.payload[field].encode()''',
        explanation="The key names what the event is about: what must be read in order gets the same key. The "
        "lab's own is `shop.key_of`.",
        wrong=(
            Wrong(
                "a hash of the subject is as good as the subject",
                "def key_of(event):\n"
                "    return str(hash(next(v for name, v in event.payload.items() if name != 'user_id'))).encode()",
                "After a restart the same",
            ),
            Wrong(
                "the event's id is its key",
                "def key_of(event):\n    return event.event_id.encode()",
                "are in 2 partitions",
            ),
            Wrong(
                "the type is the key",
                "def key_of(event):\n    return event.event_type.encode()",
                "is it in your key?",
            ),
            Wrong(
                "one key for all keeps everything in order",
                "def key_of(event):\n    return b'shop'",
                "in one partition",
            ),
            Wrong(
                "the kind of thing is what it is about",
                "def key_of(event):\n"
                "    for field in ('order_id', 'auction_id', 'report_id'):\n"
                "        if field in event.payload:\n"
                "            return field.encode()",
                "All events of orders are in one partition",
            ),
            Wrong(
                "every event has a customer",
                "def key_of(event):\n    return event.payload['user_id'].encode()",
                "KeyError: 'user_id'",
            ),
            Wrong(
                "bids are kept apart by who bids",
                "def key_of(event):\n"
                "    p = event.payload\n"
                "    return (p.get('order_id') or p.get('user_id') or p.get('report_id')).encode()",
                "is it in your key?",
            ),
            Wrong(
                "Kafka keeps the order without a key",
                "def key_of(event):\n    return None",
                "a record without a key goes to any partition",
            ),
            Wrong(
                "nobody reads the reports in their order",
                "def key_of(event):\n"
                "    for field in ('order_id', 'auction_id'):\n"
                "        if field in event.payload:\n"
                "            return event.payload[field].encode()",
                "This ReportGenerated has no key",
            ),
            Wrong(
                "an empty key is a key",
                "def key_of(event):\n"
                "    return event.payload.get('order_id', event.payload.get('auction_id', '')).encode()",
                "an empty key names nothing",
            ),
            Wrong(
                "keys can be numbered as they come",
                "numbers = {}\n\n"
                "def key_of(event):\n"
                "    about = next(v for name, v in event.payload.items() if name != 'user_id')\n"
                "    return b'%d' % numbers.setdefault(about, len(numbers))",
                "After a restart the same",
            ),
            Wrong(
                "a key is a text",
                "def key_of(event):\n    return event.payload.get('order_id', 'other')",
                "which is a str",
            ),
        ),
        other_styles=(
            "from labsupport import shop\n\nkey_of = shop.key_of",
            "def key_of(event):\n"
            "    about = {'OrderCreated': 'order', 'PaymentProcessed': 'order', 'BidSubmitted': 'auction'}\n"
            "    name = about.get(event.event_type)\n"
            "    return f\"{name}/{event.payload[name + '_id']}\".encode() if name else b'report'",
        ),
        judge=_key_of,
    ),
)
