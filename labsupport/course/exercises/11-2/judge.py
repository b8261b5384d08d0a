"""11-2: the totals are right in every order in which the partitions can be read."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from labsupport.course.exercise import Exercise, through_kafka
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.shop import story
from labsupport.shop.event import Event


def _at(seconds: float) -> datetime:
    return story.OPENING + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Scope:
    """A few events in partitions, with the rule and the pointer for a wrong result."""

    partitions: tuple[tuple[Event, ...], ...]
    rule: str
    look_at: str


def _event(kind: str, seconds: int, name: str, **payload: Any) -> Event:
    return Event(kind, 1, str(uuid5(NAMESPACE_URL, f"11-2/{name}")), _at(seconds), payload)


def _order(number: int, user: int, amount: str = "30.00", at: int = 0) -> Event:
    ids = {"order_id": f"ORD-{number}", "user_id": f"USR-{user}"}
    return _event("OrderCreated", at, f"order {number}", **ids, amount=Decimal(amount))


def _payment(name: str, number: int, amount: str, at: int = 60) -> Event:
    return _event("PaymentProcessed", at, f"payment {name}", order_id=f"ORD-{number}", amount=Decimal(amount))


LATER = "a payment can be read before its order, because they are in two partitions"

WHOSE = "after which event, at the latest, do you know whose payment it is?"

TOGETHER = "all payments of a customer count, for whichever order"

SCOPES = (
    Scope(((_order(1, 456),), (_payment("a", 1, "30.00"),)), LATER, WHOSE),
    Scope(
        ((_order(1, 456),), (_payment("a", 1, "10.00"), _payment("b", 1, "10.00"))),
        "two payments of one order are two events, even with equal amounts",
        "what identifies an event: its order, its amount, its id?",
    ),
    Scope(
        ((_order(1, 456), _payment("a", 1, "30.00")), (_payment("a", 1, "30.00"),)),
        "an event that is in the list twice has happened once",
        "how can you recognise it when it comes again?",
    ),
    Scope(
        ((_order(1, 456),), (_payment("a", 1, "90071992547409.93"), _payment("b", 1, "0.01"))),
        "an amount is exact to the cent, however large it is",
        "the amounts in the payload are Decimals: which of your lines converts them?",
    ),
    Scope(
        ((_order(1, 456), _order(2, 456)), (_payment("a", 1, "30.00"), _payment("b", 2, "7.00"))),
        TOGETHER,
        "a customer can have two orders: what are the keys of your dicts, and what does a second order replace?",
    ),
    Scope(
        ((_order(1, 456, at=50),), (_payment("a", 1, "30.00", at=10),)),
        "two services have two clocks: a payment can have an earlier timestamp than its order",
        "does the order matter at all if you go through the events twice?",
    ),
    Scope(
        ((_payment("x", 9, "5.00"),), (_order(1, 456), _payment("a", 1, "30.00"))),
        'a payment whose order is missing counts for "?"',
        "what do you know after the last event?",
    ),
    Scope(
        ((_payment("x", 9, "5.00"), _payment("y", 8, "6.00")), (_payment("x", 9, "5.00"), _order(1, 456))),
        'all payments whose orders are missing count for "?", each once',
        'how many payments without an order can there be? What does a second one do to "?"',
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
        "a bid and a report have an amount, too, but it was not paid",
        "which event type means that something was paid?",
    ),
    Scope(((), ()), "without events, nobody has paid", "what do you return for an empty list?"),
)


def _paid(answer: Submission, lab: Lab) -> str:
    """Each scope in every order in which its partitions can be read, small ones first; then the first again."""
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
    """The same events with new amounts, and with customers, orders and ids that no other call has."""

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
    answer: Submission, scope: Scope, events: list[Event], known: set[str], *, first: bool = False, again: bool = False
) -> None:
    """One call. `known` has the customers of earlier calls; `again`: the same events passed before."""
    right = _right(events)
    came_back = answer(events, returns=dict, asks="a dict from user_id to Decimal")
    given = "\n".join(f"{number}: {_in_short(event)}" for number, event in enumerate(events)) or "no events"
    if strange := [each for each in came_back.values() if type(each) not in (Decimal, int)]:
        raise TryAgain(
            says=f"{shown(strange[0])} is not a Decimal.",
            given=given,
            came_back=shown(came_back),
            rule="a binary float cannot hold cents, and text cannot be added up",
            look_at="the amounts in the payload are Decimals already; 0 plus a Decimal is one, too",
        )
    if {name: amount for name, amount in came_back.items() if amount} == right:
        return
    here = {event.payload.get("user_id") for event in events}
    leaked = [name for name in came_back if name in known - here]
    rule, look_at = scope.rule, scope.look_at
    if first:
        rule = "a payment counts for the customer who placed the order"
    if again or leaked:
        rule = (
            "your function was right about these events before" if again else f"{leaked[0]} is in none of these events"
        )
        look_at = "what survives from call to call: a default argument, or a variable outside the function?"
    raise TryAgain(
        says=f"The totals are {_totals(right)}.",
        given=given,
        came_back=_totals(came_back),
        rule=rule,
        look_at=look_at,
    )


def _read_back(lab: Lab) -> list[list[list[Event]]]:
    """The scopes' events as Kafka delivers them: by scope and partition, in offset order."""
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
    """Every order in which the partitions can be read; each keeps its own order."""
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


EXERCISE = Exercise(
    id="11-2",
    title="In whatever order",
    difficulty="medium",
    minutes=10,
    call="paid(events)",
    hints=(
        "If a payment comes before its order, what can you do at once, and what only at the end?",
        "Go through the events twice: first collect the customer of each order, then add up the payments.",
        "Keep the payments in a dict by `event_id`: duplicates then count once.",
    ),
    explanation="First collect everything by id, where neither order nor repetition matters; then combine it. "
    "Sorting by time does not work: two services have two clocks.",
    points_at=("ep-1",),
    judge=_paid,
    seconds=3.0,
)
