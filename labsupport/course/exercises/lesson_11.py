"""Exercises of lesson 11, running history again."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from labsupport.course.answer import Answer, TryAgain, shown
from labsupport.course.exercise import Exercise, Wrong, through_kafka
from labsupport.course.going_back import go_back
from labsupport.course.holding_back import hold_back
from labsupport.events import shop
from labsupport.events.event import Event

if TYPE_CHECKING:
    from labsupport.course.session import Lesson

# 11-2


def _at(seconds: float) -> datetime:
    return shop.OPENING + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Scope:
    """A few events in partitions, and what to say if one order of reading goes wrong."""

    partitions: tuple[tuple[Event, ...], ...]
    broken: str
    look_at: str


def _event(kind: str, seconds: int, name: str, **payload: Any) -> Event:
    return Event(kind, 1, str(uuid5(NAMESPACE_URL, f"11-2/{name}")), _at(seconds), payload)


def _order(number: int, user: int, amount: str = "30.00", at: int = 0) -> Event:
    ids = {"order_id": f"ORD-{number}", "user_id": f"USR-{user}"}
    return _event("OrderCreated", at, f"order {number}", **ids, amount=Decimal(amount))


def _payment(name: str, number: int, amount: str, at: int = 60) -> Event:
    return _event("PaymentProcessed", at, f"payment {name}", order_id=f"ORD-{number}", amount=Decimal(amount))


LATER = "a payment can be read before its order: they lie in two partitions"
WHOSE = "when is it known whose payment it is? After which event, at the latest?"
TOGETHER = "all that a customer has paid counts, for whichever order"
SCOPES = (
    Scope(((_order(1, 456),), (_payment("a", 1, "30.00"),)), LATER, WHOSE),
    Scope(
        ((_order(1, 456),), (_payment("a", 1, "10.00"), _payment("b", 1, "10.00"))),
        "two payments of one order are two events, also with equal amounts",
        "what makes an event another one: its order, its amount, its id?",
    ),
    Scope(
        ((_order(1, 456), _payment("a", 1, "30.00")), (_payment("a", 1, "30.00"),)),
        "an event that is in the list twice has happened once",
        "by what can you recognise it when it comes again?",
    ),
    Scope(
        ((_order(1, 456),), (_payment("a", 1, "90071992547409.93"), _payment("b", 1, "0.01"))),
        "an amount is exact to the cent, however large it is",
        "the amounts in the payload are Decimals: which of your lines makes something else of one?",
    ),
    Scope(
        ((_order(1, 456), _order(2, 456)), (_payment("a", 1, "30.00"), _payment("b", 2, "7.00"))),
        TOGETHER,
        "a customer can have two orders: what is the key of each of your dicts, and what does a second one replace?",
    ),
    Scope(
        ((_order(1, 456, at=50),), (_payment("a", 1, "30.00", at=10),)),
        "two services have two clocks: a payment can bear an earlier time than its order",
        "does it need an order at all, if you look at the events twice?",
    ),
    Scope(
        ((_payment("x", 9, "5.00"),), (_order(1, 456), _payment("a", 1, "30.00"))),
        'a payment whose order is nowhere counts for "?"',
        "what is known when the last event has been read?",
    ),
    Scope(
        ((_payment("x", 9, "5.00"), _payment("y", 8, "6.00")), (_payment("x", 9, "5.00"), _order(1, 456))),
        'all payments whose orders are nowhere count for "?", each once',
        'how many payments can there be whose order is nowhere? What does a second one do with "?"',
    ),
    Scope(
        (
            (_order(1, 456), _order(2, 457)),
            (_payment("b", 2, "0.20"), _payment("a", 1, "0.10")),
            (_payment("c", 2, "0.10"), _order(1, 456)),
        ),
        LATER,
        WHOSE,
    ),
    Scope(
        (
            (_order(1, 456), _event("ReportGenerated", 70, "report", report_id="REP-1", orders=1, amount=Decimal(30))),
            (
                _event("BidSubmitted", 5, "bid", auction_id="AUC-7", user_id="USR-456", amount=Decimal(7)),
                _payment("a", 1, "30.00"),
            ),
        ),
        "a bid and a report have an amount, too, and nobody has paid it",
        "which type of event says that something was paid?",
    ),
    Scope(((), ()), "nobody has paid, where nothing has happened", "what comes back for an empty list?"),
)


def _paid(answer: Answer, lab: "Lesson") -> str:
    """Each scope in each order in which its partitions can be read, the small ones first; then the first once more."""
    calls: list[tuple[Scope, list[Event]]] = []
    for scope, partitions in zip(SCOPES, _read_back(lab), strict=True):
        calls += [(scope, _renamed(order, len(calls) + n)) for n, order in enumerate(_interleavings(partitions))]
    known: set[str] = set()  # customers of earlier calls
    for number, (scope, events) in enumerate(calls):
        _require_sums(answer, scope, events, known, first=not number)
        known |= {event.payload["user_id"] for event in events if "user_id" in event.payload}
    for scope, events in calls[:2]:
        _require_sums(answer, scope, events, known, again=True)
    return f"Right in all {len(calls)} orders in which the partitions of {len(SCOPES)} topics can be read."


def _renamed(events: Sequence[Event], number: int) -> list[Event]:
    """The same events with customers, orders and ids that no other call has, and with other amounts."""

    def payload(event: Event) -> dict[str, Any]:
        changed = {
            name: f"{event.payload[name][:4]}{int(event.payload[name][4:]) + 10 * number}"
            for name in ("order_id", "user_id")
            if name in event.payload
        }
        return {**event.payload, **changed, "amount": event.payload["amount"] + number}

    return [
        replace(event, event_id=str(uuid5(NAMESPACE_URL, f"{event.event_id}/{number}")), payload=payload(event))
        for event in events
    ]


def _require_sums(
    answer: Answer, scope: Scope, events: list[Event], known: set[str], *, first: bool = False, again: bool = False
) -> None:
    """One call. `known` are the customers of earlier calls; `again`: it went well before."""
    right = _right(events)
    came_back = answer(events, returns=dict, asks="a dict from user_id to Decimal")
    given = "\n".join(f"{number}: {_in_short(event)}" for number, event in enumerate(events)) or "no events"
    if strange := [each for each in came_back.values() if type(each) not in (Decimal, int)]:
        raise TryAgain(
            says=f"{shown(strange[0])} is no Decimal.",
            given=given,
            came_back=shown(came_back),
            broken="a binary float cannot hold cents, and text cannot be added up",
            look_at="the amounts in the payload are Decimals already; 0 + a Decimal is one, too",
        )
    if {name: amount for name, amount in came_back.items() if amount} == right:
        return
    here = {event.payload.get("user_id") for event in events}
    leaked = [name for name in came_back if name in known - here]
    broken, look_at = scope.broken, scope.look_at
    if first:
        broken = "a payment counts for the customer whose order it is"
    if again or leaked:
        broken = "these events went well before" if again else f"{leaked[0]} is in none of these events"
        look_at = "what stays from call to call: a default argument, or a variable outside of the function?"
    raise TryAgain(
        says=f"This is {_totals(right)}.",
        given=given,
        came_back=_totals(came_back),
        broken=broken,
        look_at=look_at,
    )


def _read_back(lab: "Lesson") -> list[list[list[Event]]]:
    """The scopes' events as Kafka hands them out: by scope and partition, in the order of their offsets."""
    most = max(len(scope.partitions) for scope in SCOPES)
    sent = [
        {"value": event.encode(), "partition": number, "headers": [("scope", b"%d" % index)]}
        for index, scope in enumerate(SCOPES)
        for number, partition in enumerate(scope.partitions)
        for event in partition
    ]
    found: list[list[list[Event]]] = [[[] for _ in range(most)] for _ in SCOPES]
    for record in through_kafka(lab, sent, partitions=most).records:
        found[int(record.headers[0][1])][record.partition].append(Event.decode(record.value))
    return found


def _interleavings(partitions: Sequence[Sequence[Event]]) -> Iterator[list[Event]]:
    """Every order in which they can be read; the order within a partition stays."""
    turns = [number for number, partition in enumerate(partitions) for _ in partition]
    for turn in sorted(set(itertools.permutations(turns))):
        left = [iter(partition) for partition in partitions]
        yield [next(left[number]) for number in turn]


def _right(events: Sequence[Event]) -> dict[str, Decimal]:
    whose = {e.payload["order_id"]: e.payload["user_id"] for e in events if e.event_type == "OrderCreated"}
    totals: dict[str, Decimal] = {}
    for event in {e.event_id: e for e in events if e.event_type == "PaymentProcessed"}.values():
        customer = whose.get(event.payload["order_id"], "?")
        totals[customer] = totals.get(customer, Decimal(0)) + event.payload["amount"]
    return totals


def _totals(totals: Mapping) -> str:
    return "{" + ", ".join(f"{shown(name)}: {totals[name]}" for name in sorted(totals, key=str)) + "}"


def _in_short(event: Event) -> str:
    about = ", ".join(f"{name} {value}" for name, value in event.payload.items())
    return f"{event.timestamp:%H:%M:%S} {event.event_type} {event.event_id[:4]}…, {about}"


def _back(body: str) -> str:
    return f"from datetime import UTC\n\n\ndef go_back(consumer, incident):\n{body}"


ASK = (
    "    at = int(incident.timestamp() * 1000)\n"
    "    found = consumer.offsets_for_times({place: at for place in consumer.assignment()})\n"
)
DONE = (
    "    begins = consumer.beginning_offsets(list(found))\n"
    "    done = {place: max(consumer.committed(place) or 0, begins[place]) for place in found}\n"
)
LEAST = DONE + "    return {p.partition: min(f.offset, done[p]) if f else done[p] for p, f in found.items()}"


def _sums(body: str) -> str:
    return f"from decimal import Decimal\n\n\ndef paid(events):\n{body}"


WHOSE_ORDER = (
    "    whose = {e.payload['order_id']: e.payload['user_id'] for e in events if e.event_type == 'OrderCreated'}\n"
)
UNIQUE = "    events = {event.event_id: event for event in events}.values()\n"
ADD_UP = (
    "    totals = {}\n"
    "    for event in events:\n"
    "        if event.event_type == 'PaymentProcessed':\n"
    "            customer = whose.get(event.payload['order_id'], '?')\n"
    "            totals[customer] = totals.get(customer, 0) + event.payload['amount']\n"
    "    return totals"
)
ONE_PASS = (
    "    whose, totals = {}, {}\n"
    "    for event in events:\n"
    "        if event.event_type == 'OrderCreated':\n"
    "            whose[event.payload['order_id']] = event.payload['user_id']\n"
    "        elif event.event_type == 'PaymentProcessed':\n"
    "            customer = whose.get(event.payload['order_id'], '?')\n"
    "            totals[customer] = totals.get(customer, 0) + event.payload['amount']\n"
    "    return totals"
)


def _handle(body: str) -> str:
    imports = "from labsupport import Event, inbox, replay\n\n\n"
    return f"{imports}def handle(record, database, mail):\n    event = Event.decode(record.value)\n{body}"


INSERT = "database.execute('INSERT INTO effects VALUES (?, ?, ?)', (event.event_id, '', ''))"
ROW_ONCE = f"    inbox.once(database, event.event_id, lambda: {INSERT})\n"
MAIL_ONCE = "inbox.once(database, 'mail ' + event.event_id, lambda: mail(event))"
BOTH = "    def both():\n        " + INSERT + "\n{mail}\n\n    inbox.once(database, event.event_id, both)"

# fmt: off
EXERCISES = (
    Exercise(
        id="11-1",
        title="Back to the right place",
        difficulty="medium",
        minutes=6,
        call="go_back(consumer, incident)",
        stub='''def go_back(consumer, incident):
    """For each partition the offset at which the group shall go on."""
    return ...''',
        hints=(
            "Which records have to come: those since the incident, those that are not committed, or both?",
            "`consumer.offsets_for_times({place: milliseconds})` finds the first record that is not older; `None` if "
            "there is none. `int(incident.timestamp() * 1000)` are the milliseconds.",
            "The smaller of what was found and what is committed; nothing found: what is committed. Nothing committed, "
            "or something before the log's beginning: that beginning, `consumer.beginning_offsets(places)[place]`."),
        reference='''def go_back(consumer, incident):
    """For each partition the offset at which the group shall go on."""
    at = int(incident.timestamp() * 1000)
    begins = consumer.beginning_offsets(list(consumer.assignment()))
    places = {}
    for place, found in consumer.offsets_for_times(dict.fromkeys(begins, at)).items():
        done = max(consumer.committed(place) or 0, begins[place])
        places[place.partition] = min(done, found.offset) if found else done
    return places''',
        explanation="A time is another offset in each partition. Where the group has not come as far as the incident, "
        "it stays where it is: to set it to the incident would skip what it has never processed. Where it has "
        "committed nothing, it begins where the log does, and that is not always 0: at an offset that the log does not "
        "have any more, `latest` would skip all of it.",
        wrong=(
            Wrong("the incident is the place, wherever the group is",
                _back(ASK + DONE + "    return {p.partition: f.offset if f else done[p] for p, f in found.items()}"),
                "was never processed, and is skipped now"),
            Wrong("nothing since the incident means that nothing is left",
                _back(ASK + DONE + "    ends = consumer.end_offsets(list(found))\n"
                    "    return {p.partition: min(f.offset, done[p]) if f else ends[p]\n"
                    "            for p, f in found.items()}"), "was never processed, and is skipped now"),
            Wrong("nothing since the incident means: from the beginning",
                _back(ASK + DONE + "    return {p.partition: min(f.offset, done[p]) if f else begins[p]\n"
                    "            for p, f in found.items()}"), "comes again for nothing"),
            Wrong("one offset holds for all partitions",
                _back(ASK + "    first = min(f.offset for f in found.values() if f)\n"
                    "    return {place.partition: first for place in found}"), "comes again for nothing"),
            Wrong("Kafka counts seconds",
                _back(ASK.replace(" * 1000", "") + LEAST), "milliseconds"),
            Wrong("a moment earlier does no harm",
                _back(ASK.replace("1000)", "1000) - 1") + LEAST), "comes again for nothing"),
            Wrong("not committing brings it back, and so a restart is enough",
                _back("    found = consumer.assignment()\n" + DONE
                    + "    return {p.partition: done[p] for p in found}"),
                "is not older than the incident, and does not come"),
            Wrong("the group goes on at the later of the two",
                _back(ASK + LEAST.replace("min(", "max(")), "which is smaller"),
            Wrong("to be safe, everything",
                _back("    begins = consumer.beginning_offsets(list(consumer.assignment()))\n"
                    "    return {place.partition: begin for place, begin in begins.items()}"),
                "comes again for nothing"),
            Wrong("a time is a time, in whatever zone",
                _back("    incident = incident.replace(tzinfo=UTC)\n" + ASK + LEAST),
                "which unit and time zone"),
            Wrong("every group has committed something",
                _back(ASK + "    return {p.partition: min(f.offset if f else 9, consumer.committed(p))\n"
                    "            for p, f in found.items()}"), "TypeError"),
            Wrong("a log begins at 0",
                _back(ASK + DONE.replace("begins[place]", "0") + "    return {p.partition: min(f.offset, done[p]) "
                    "if f else done[p] for p, f in found.items()}"), "the log begins at 3 and has no 0"),
            Wrong("what is committed is still there",
                _back(ASK + DONE.replace("max(consumer.committed(place) or 0, begins[place])",
                    "begins[place] if consumer.committed(place) is None else consumer.committed(place)")
                    + "    return {p.partition: min(f.offset, done[p]) if f else done[p] for p, f in found.items()}"),
                "the log begins at 2 and has no 1"),
            Wrong("what does not move need not be named",
                _back(ASK + DONE + "    return {p: f.offset for p, f in found.items() if f and f.offset < done[p]}"),
                "There is no place for partition"),
            Wrong("an error concerns one partition, and the others go on",
                _back(ASK + DONE + "    places = {}\n    for p, f in found.items():\n        try:\n"
                    "            places[p.partition] = min(f.offset, done[p])\n"
                    "        except AttributeError:\n            pass\n    return places"),
                "There is no place for partition"),
            Wrong("who does not answer has nothing committed",
                _back("    def asked(place):\n        try:\n            return consumer.committed(place)\n"
                    "        except Exception:\n            return None\n\n" + ASK
                    + LEAST.replace("consumer.committed(place)", "asked(place)")),
                "consumer.committed raised an error"),
            Wrong("the last call's places still hold",
                _back(ASK + DONE + "    for p, f in found.items():\n"
                    "        places.setdefault(p.partition, min(f.offset, done[p]) if f else done[p])\n"
                    "    return places").replace("incident)", "incident, places={})", 1), "Partition "),
        ),
        other_styles=(
            "import math\n\n\ndef go_back(consumer, incident):\n"
            "    result = {}\n"
            "    for place in consumer.assignment():\n"
            "        (begin,) = consumer.beginning_offsets([place]).values()\n"
            "        result[place.partition] = max(begin, consumer.committed(place) or begin)\n"
            "        at = math.ceil(incident.timestamp() * 1000)\n"
            "        if (found := consumer.offsets_for_times({place: at})[place]) is not None:\n"
            "            result[place.partition] = min(result[place.partition], found.offset)\n"
            "    return result",
            "import numpy\n" + _back(ASK + DONE +  # numbers of numpy's, and a client that is asked once more
                "    try:\n        ends = consumer.end_offsets(list(found))\n    except Exception:\n"
                "        ends = consumer.end_offsets(list(found))\n"
                "    return {place: numpy.int64(min(f.offset if f else ends[place], done[place]))\n"
                "            for place, f in found.items()}"),
        ),
        judge=go_back,
        seconds=6.0,
    ),
    Exercise(
        id="11-2",
        title="In whatever order",
        difficulty="medium",
        minutes=8,
        call="paid(events)",
        stub='''def paid(events):
    """What each customer has paid, whatever the order of the events."""
    return ...''',
        hints=(
            "If a payment comes before its order: what can you do with it then, and what only at the end?",
            "Go through the events twice: first collect whose each order is, then add up the payments.",
            "Keep the payments in a dict under their `event_id`: what comes twice is there once."),
        reference='''def paid(events):
    """What each customer has paid, whatever the order of the events."""
    whose, payments = {}, {}
    for event in events:
        if event.event_type == "OrderCreated":
            whose[event.payload["order_id"]] = event.payload["user_id"]
        elif event.event_type == "PaymentProcessed":
            payments[event.event_id] = event.payload
    totals = {}
    for payment in payments.values():
        customer = whose.get(payment["order_id"], "?")
        totals[customer] = totals.get(customer, 0) + payment["amount"]
    return totals''',
        explanation="First everything is collected, under ids, where neither order nor repetition matters; then it is "
        "put together. Sorting by time does not do it: two services have two clocks.",
        wrong=(
            Wrong("an order always comes before its payment",
                _sums(UNIQUE + ONE_PASS.replace(".get(event.payload['order_id'], '?')", "[event.payload['order_id']]")),
                "KeyError"),
            Wrong("what is not known when it is read is unknown",
                _sums(UNIQUE + ONE_PASS), "can be read before its order"),
            Wrong("timestamps bring back the order",
                _sums(UNIQUE + "    events = sorted(events, key=lambda event: event.timestamp)\n" + ONE_PASS),
                "two clocks"),
            Wrong("a replay hands out each event once", _sums(WHOSE_ORDER + ADD_UP), "has happened once"),
            Wrong("an order is paid once",
                _sums("    events = {(e.event_type, e.payload.get('order_id')): e for e in events}.values()\n"
                    + WHOSE_ORDER + ADD_UP), "two payments of one order"),
            Wrong("equal payments are one payment",
                _sums("    events = {(e.event_type, str(e.payload)): e for e in events}.values()\n"
                    + WHOSE_ORDER + ADD_UP), "two payments of one order"),
            Wrong("what is paid is what was ordered",
                _sums(UNIQUE + "    done = {e.payload['order_id'] for e in events if e.event_type[0] == 'P'}\n"
                    "    totals = {}\n    for e in events:\n"
                    "        if e.event_type == 'OrderCreated' and e.payload['order_id'] in done:\n"
                    "            user = e.payload['user_id']\n"
                    "            totals[user] = totals.get(user, 0) + e.payload['amount']\n"
                    "    return totals"), "two payments of one order"),
            Wrong("a payment without an order is left out",
                _sums(UNIQUE + WHOSE_ORDER + ADD_UP.replace(
                    "'PaymentProcessed':", "'PaymentProcessed' and event.payload['order_id'] in whose:")),
                "counts for \"?\""),
            Wrong("what was learned in one call helps in the next",
                "WHOSE = {}\n\n\n" + _sums(UNIQUE + ONE_PASS.replace("whose, totals = {}, {}", "totals = {}")
                    .replace("whose", "WHOSE")), "can be read before its order"),
            Wrong("a default argument is new in each call",
                _sums(UNIQUE + WHOSE_ORDER + ADD_UP.replace("    totals = {}\n", "", 1))
                    .replace("(events)", "(events, totals={})"), "is in none of these events"),
            Wrong("what was seen once was seen in this call",
                "SEEN = set()\n\n\n" + _sums("    events = [e for e in events if e.event_id not in SEEN "
                    "and not SEEN.add(e.event_id)]\n" + WHOSE_ORDER + ADD_UP), "these events went well before"),
            Wrong("a customer has one order",
                _sums(UNIQUE + WHOSE_ORDER.replace("whose", "owner") + "    whose = {o: o for o in owner}\n"
                    + ADD_UP.replace("return totals", "return {owner.get(o, '?'): a for o, a in totals.items()}")),
                "a customer can have two orders"),
            Wrong("an order belongs to the customer's name",
                _sums(UNIQUE + "    last = {e.payload['user_id']: e.payload['order_id'] for e in events "
                    "if e.event_type == 'OrderCreated'}\n    whose = {o: u for u, o in last.items()}\n" + ADD_UP),
                "a customer can have two orders"),
            Wrong("there is one unknown payment",
                _sums(UNIQUE + WHOSE_ORDER + ADD_UP.replace("        if event.event_type",
                    "        if event.event_type == 'PaymentProcessed' and event.payload['order_id'] not in whose:\n"
                    "            totals['?'] = event.payload['amount']\n        elif event.event_type", 1)),
                "how many payments can there be"),
            Wrong("the customers are those of the example",
                _sums(UNIQUE + "    whose = {'ORD-1': 'USR-456', 'ORD-2': 'USR-457'}\n" + ADD_UP), "This is"),
            Wrong("a float in between does no harm",
                _sums(UNIQUE + WHOSE_ORDER + ADD_UP.replace("event.payload['amount']\n",
                    "Decimal(float(event.payload['amount']))\n")), "exact to the cent"),
            Wrong("rounded in the end it is exact again",
                _sums(UNIQUE + WHOSE_ORDER + ADD_UP.replace("event.payload['amount']\n",
                    "float(event.payload['amount'])\n").replace("return totals",
                    "return {u: round(Decimal(a), 2) for u, a in totals.items()}")), "exact to the cent"),
            Wrong("cents are floats",
                _sums(UNIQUE + WHOSE_ORDER + ADD_UP.replace(
                    "+ event.payload['amount']", "+ float(event.payload['amount'])")), "is no Decimal"),
            Wrong("an amount is a payment",
                _sums(UNIQUE + WHOSE_ORDER + ADD_UP.replace(
                    "event.event_type == 'PaymentProcessed'", "event.event_type != 'OrderCreated'").replace(
                    "event.payload['order_id'], '?'", "event.payload.get('order_id'), event.payload.get('user_id')")),
                "counts for \"?\""),
        ),
        other_styles=(
            _sums(UNIQUE + WHOSE_ORDER + ADD_UP),
            "from collections import defaultdict\nfrom decimal import Decimal\n\nfrom labsupport import report\n\n\n"
            "def paid(events):\n"
            "    database = report.database(':memory:')\n"
            "    for event in events:\n        report.add(database, event)\n"
            "    totals = defaultdict(Decimal)\n"
            "    for line in report.lines(database):\n        totals[line.customer] += line.paid\n"
            "    return dict(totals)",
            _sums("    events = sorted(events, key=lambda e: e.event_type)  # orders before payments\n"
                "    done, whose, totals = set(), {}, {}\n"
                "    for event in events:\n"
                "        if event.event_type == 'OrderCreated':\n"
                "            whose[event.payload['order_id']] = event.payload['user_id']\n"
                "            totals.setdefault(event.payload['user_id'], Decimal(0))\n"
                "        elif event.event_type == 'PaymentProcessed' and event.event_id not in done:\n"
                "            done.add(event.event_id)\n"
                "            customer = whose.get(event.payload['order_id'], '?')\n"
                "            totals[customer] = totals.get(customer, Decimal(0)) + event.payload['amount']\n"
                "    return totals"),
        ),
        points_at=("ep-1",),
        judge=_paid,
        seconds=3.0,
    ),
    Exercise(
        id="11-3",
        title="Hold it back",
        difficulty="hard",
        minutes=7,
        call="handle(record, database, mail)",
        stub='''from labsupport import Event, inbox, replay


def handle(record, database, mail):
    """One row for each event; one mail for each that came live."""
    return ...''',
        hints=(
            "Row and mail are two effects. When is each of them due, and what has to remember each of them?",
            "`replay.replayed(record)` is `None` if the record is live. A row is due in either case.",
            "`inbox.once(database, id, effect)` remembers an id. Give the mail another one than the row, such as "
            "`'mail ' + event.event_id`, and ask for it only if the record is live."),
        reference='''from labsupport import Event, inbox, replay


def handle(record, database, mail):
    """One row for each event; one mail for each that came live."""
    event = Event.decode(record.value)
    insert = ("INSERT INTO effects VALUES (?, '', '')", (event.event_id,))
    inbox.once(database, event.event_id, lambda: database.execute(*insert))
    if replay.replayed(record) is None:
        inbox.once(database, "mail " + event.event_id, lambda: mail(event))''',
        explanation="The row is due for every record, the mail for a live one. So they need two memories: with one, a "
        "replay that comes before the live record would mark the event as done, and its mail would never go out. If "
        "the mail fails, nothing is remembered, the error comes out, and the record comes again. A mail can still go "
        "twice: if the process dies after mail() and before the inbox commits (lesson 08).",
        wrong=(
            Wrong("replay is free of effects",
                _handle(BOTH.format(mail="        mail(event)")), "it was only replayed"),
            Wrong("what is replayed is skipped",
                _handle("    if replay.replayed(record):\n        return\n" + BOTH.format(mail="        mail(event)")),
                "has no row"),
            Wrong("one memory is enough for both",
                _handle(BOTH.format(
                    mail="        if replay.replayed(record) is None:\n            mail(event)")),
                "its mail never went out"),
            Wrong("a live record comes once",
                _handle(ROW_ONCE + "    if replay.replayed(record) is None:\n        mail(event)"),
                "what comes again has its mail once"),
            Wrong("rows do no harm",
                _handle(f"    with database:\n        {INSERT}\n"
                    f"    if replay.replayed(record) is None:\n        {MAIL_ONCE}"), "has 2 rows"),
            Wrong("whatever has been sent again is a replay",
                _handle(ROW_ONCE + f"    if len(record.headers) == 2:\n        {MAIL_ONCE}"),
                "a redrive is no replay"),
            Wrong("what says where it comes from is replayed",
                _handle(ROW_ONCE + f"    if 'replay_origin' not in dict(record.headers):\n        {MAIL_ONCE}"),
                "what tells a replayed record"),
            Wrong("what is old is replayed",
                _handle(ROW_ONCE + "    import time\n"
                    f"    if time.time() - event.timestamp.timestamp() < 86_400:\n        {MAIL_ONCE}"),
                "its record is live: its mail is due"),
            Wrong("a replay has a beginning and an end",
                "MODE = []\n\n\n" + _handle(ROW_ONCE + "    if replay.replayed(record):\n        MODE.append(1)\n"
                    f"    if not MODE:\n        {MAIL_ONCE}"), "a switch that a replay turns on"),
            Wrong("an order's events are one event",
                _handle("    key = event.payload['order_id']\n"
                    f"    inbox.once(database, key, lambda: {INSERT})\n"
                    "    if replay.replayed(record) is None:\n"
                    "        inbox.once(database, 'mail ' + key, lambda: mail(event))"), "Event B has no row"),
            Wrong("a set in the program remembers",
                "DONE = set()\n\n\n" + _handle(ROW_ONCE +
                    "    if replay.replayed(record) is None and event.event_id not in DONE:\n"
                    "        DONE.add(event.event_id)\n        mail(event)"), "outside of its database"),
            Wrong("the database writes by itself",
                _handle(f"    {INSERT}"), "a transaction is open"),
            Wrong("a mark is what is in it",
                _handle(ROW_ONCE + f"    if not replay.replayed(record):\n        {MAIL_ONCE}"),
                "though its value is empty"),
            Wrong("a mail that fails is not this service's concern",
                _handle(ROW_ONCE + "    def send():\n        try:\n            mail(event)\n"
                    "        except Exception:\n            pass\n\n    if replay.replayed(record) is None:\n"
                    "        inbox.once(database, 'mail ' + event.event_id, send)"), "as if all were done"),
            Wrong("first remembered, then sent",
                _handle(ROW_ONCE + "    if replay.replayed(record) is None and inbox.once(\n"
                    "        database, 'mail ' + event.event_id, lambda: None\n    ):\n        mail(event)"),
                "has 1 row and no mail"),
            Wrong("the mail may go first",
                _handle(f"    if replay.replayed(record) is None:\n        {MAIL_ONCE}\n" + ROW_ONCE),
                "before the row was there"),
            Wrong("a row can be written anew each time",
                _handle("    with database:\n        database.execute('DELETE FROM effects WHERE event_id = ?', "
                    f"(event.event_id,))\n        {INSERT}\n"
                    f"    if replay.replayed(record) is None:\n        {MAIL_ONCE}"), "was deleted or changed"),
            Wrong("who is refused by the database tries the mail anyway",
                _handle(f"    try:\n    {ROW_ONCE}    except Exception:\n        pass\n"
                    f"    if replay.replayed(record) is None:\n        try:\n            {MAIL_ONCE}\n"
                    "        except OSError:\n            raise\n        except Exception:\n            pass"),
                "as if all were done"),
            Wrong("the mail is remembered by the replay, too",
                _handle(ROW_ONCE +
                    "    def send():\n        if replay.replayed(record) is None:\n            mail(event)\n\n"
                    "    inbox.once(database, 'mail ' + event.event_id, send)"), "its mail never went out"),
        ),
        other_styles=(
            "from labsupport import Event\n\n\ndef handle(record, database, mail):\n"
            "    event = Event.decode(record.value)\n"
            "    live = 'replay_id' not in dict(record.headers)\n"
            "    with database:\n"
            "        new = 'INSERT OR IGNORE INTO inbox VALUES (?, 0)'\n"
            "        if database.execute(new, (event.event_id,)).rowcount:\n"
            "            database.execute('INSERT INTO effects VALUES (?, ?, ?)', (event.event_id, '', ''))\n"
            "        if live and database.execute(new, ('m' + event.event_id,)).rowcount:\n"
            "            mail(event)",
            _handle(ROW_ONCE +
                "    if replay.replayed(record) is not None:\n        return\n"
                "    seen = database.execute('SELECT 1 FROM inbox WHERE event_id = ?', ('m-' + event.event_id,))\n"
                "    if seen.fetchone() is None:\n"
                "        mail(event)\n"
                "        with database:\n"
                "            database.execute('INSERT INTO inbox VALUES (?, 0)', ('m-' + event.event_id,))"),
        ),
        judge=hold_back,
        seconds=3.0,
    ),
)
# fmt: on
