"""Exercises of lesson 01, what an event is."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import islice, product
from random import randrange
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from labsupport.course.answer import Answer, TryAgain, kind_of, shown
from labsupport.course.exercise import Exercise, Wrong, through_kafka
from labsupport.events import shop
from labsupport.events.event import Event

if TYPE_CHECKING:
    from labsupport.course.session import Lesson


def come_back(lab: "Lesson", values: Sequence[bytes]) -> list[bytes]:
    """The values as they come back from the broker, in the order in which they were sent."""
    return [record.value for record in through_kafka(lab, ({"value": value} for value in values)).records]


def payment(event_id: str, order_id: str, amount: str) -> bytes:
    """The value of a payment's record; all were made in the same second."""
    payload = {"order_id": order_id, "amount": Decimal(amount)}
    return Event("PaymentProcessed", 1, event_id, shop.OPENING, payload).encode()


def _require_same(came_back: int, events: Sequence[Event]) -> None:
    right = len({event.event_id for event in events})
    if came_back != right:
        raise TryAgain(
            says=f"Happened here: {right}. Your function says: {shown(came_back)}.",
            story="\n".join(_line(event) for event in events[:12]) + "\n…" * (len(events) > 12) or "(an empty list)",
            broken="the same event delivered again is still one happening"
            if came_back > right
            else "two events may look the same and still be two",
            look_at="which field of the envelope says *which* happening it is?",
        )


def _happenings(answer: Answer, lab: "Lesson") -> str:
    """Every list of up to four deliveries of three events, the shortest first; two look the same. Then a long list."""
    ids = [str(uuid4()) for _ in range(60)]  # other ones in each check
    # The second id differs from the first in the middle only, where it can be seen.
    ids[0], ids[1] = (f"{ids[0][:9]}{group}{ids[0][13:]}" for group in ("aaaa", "bbbb"))
    order = {"order_id": "ORD-124", "user_id": "USR-456", "amount": Decimal("7.50")}
    sent = [
        payment(ids[0], "ORD-123", "50.00"),
        payment(ids[1], "ORD-123", "50.00"),
        Event("OrderCreated", 1, ids[2], shop.OPENING, order).encode(),
    ]
    delivered = come_back(lab, [*sent, *(payment(each, "ORD-125", "50.00") for each in ids)])
    lists = [each for length in range(5) for each in product(delivered[:3], repeat=length)]
    for values in (*lists, delivered[3:] * 2):
        events = [Event.decode(value) for value in values]
        _require_same(answer(events, returns=int), events)
    return (
        f"Right for all {len(lists)} lists of up to four deliveries of three events, and for {2 * len(ids)} deliveries."
    )


def _line(event: Event) -> str:
    what = event.payload
    return f"id {event.event_id}  {event.event_type}  {event.timestamp:%H:%M:%S}  {what['order_id']}  {what['amount']}"


# What is added up, and why a wrong way of adding shows in it.
AMOUNTS = (
    ["1499.99"],
    ["0.10"] * 20,
    ["20.00"] * 3,
    ["20", "0.05"],
    ["90071992547409.93"],
    ["0.01", "1000000000000000.00", "0.02"],
    [],
)


def _total(answer: Answer, lab: "Lesson") -> str:
    """Amounts that a binary float cannot hold: by themselves, in a sum, and for their length."""
    many = [f"{randrange(1, 10**7) / 100:.2f}" for _ in range(60)]  # other ones in each check
    lists = [*AMOUNTS, many, *([str(event.payload["amount"]) for event in _paid(seed)] for seed in range(3))]
    amounts = [amount for each in lists for amount in each]
    values = iter(
        come_back(lab, [payment(str(UUID(int=number)), "ORD-123", each) for number, each in enumerate(amounts)])
    )
    for amounts in lists:
        came_back = answer(list(islice(values, len(amounts))), returns=(Decimal, int, float), asks="a Decimal")
        _require_total(came_back, amounts)
    longest = max((amount for each in AMOUNTS for amount in each), key=len)
    return f"Exact for {len(lists)} lists of payments; the longest amount was {longest}."


def _require_total(came_back: Decimal | float, amounts: Sequence[str]) -> None:
    right = sum(map(Decimal, amounts))
    if isinstance(came_back, float):
        broken = "the total is exact to the cent, and a binary float cannot be"
    elif isinstance(came_back, Decimal) and not came_back.is_finite():
        broken = "a total is a number"
    elif came_back == right:
        return
    elif abs(came_back - right) < Decimal("0.05"):
        broken = "somewhere on its way an amount was a binary float, or was rounded"
    else:
        broken = "every payment counts once, also when two have the same amount"
    few = ", ".join(amounts[:3]) + (f" … ({len(amounts)} payments)" if len(amounts) > 3 else "")
    raise TryAgain(
        says=f"These payments are {right} together.",
        given=f"values with the amounts {few}" if amounts else "no values at all",
        came_back=f"{shown(came_back)}, {kind_of(came_back)}",
        broken=broken,
        look_at="what does json.loads make of 1499.99 if nobody tells it otherwise?",
    )


def _paid(seed: int) -> list[Event]:
    return [event for event in shop.events(25, seed) if event.event_type == "PaymentProcessed"]


EXERCISES = (
    Exercise(
        id="01-1",
        title="How many things have happened?",
        difficulty="easy",
        minutes=6,
        call="happenings(events)",
        stub='''def happenings(events):
    """How many things have happened, however often each was delivered."""
    return ...''',
        hints=(
            "Two events have the same payload and the same time. What makes you sure that they are two?",
            "Each event has an `event_id`. How many different ones are in the list?",
            "A set holds each value once: `{event.event_id for event in events}`.",
        ),
        reference='''def happenings(events):
    """How many things have happened, however often each was delivered."""
    return len({event.event_id for event in events})''',
        explanation="The id is given once, by whoever publishes the event, and goes with every copy of it. Payload and "
        "time do not tell: a customer may pay 50.00 twice within a second.",
        wrong=(
            Wrong(
                "every record is a new happening",
                "def happenings(events):\n    return len(events)",
                "delivered again is still one happening",
            ),
            Wrong(
                "same content, same event",
                "def happenings(events):\n"
                "    return len({(e.event_type, str(e.timestamp), str(e.payload)) for e in events})",
                "may look the same and still be two",
            ),
            Wrong(
                "the order's number is the event's id",
                "def happenings(events):\n    return len({event.payload['order_id'] for event in events})",
                "may look the same and still be two",
            ),
            Wrong(
                "only payments happen",
                "def happenings(events):\n"
                "    return len({e.event_id for e in events if e.event_type == 'PaymentProcessed'})",
                "may look the same and still be two",
            ),
            Wrong(
                "the beginning of an id tells as much as the whole",
                "def happenings(events):\n    return len({event.event_id[:8] for event in events})",
                "may look the same and still be two",
            ),
            Wrong(
                "what an earlier list had has happened in this one",
                "def happenings(events, seen=set()):\n"
                "    seen.update(event.event_id for event in events)\n"
                "    return len(seen)",
                "delivered again is still one happening",
            ),
            Wrong(
                "a copy comes soon, or never",
                "from collections import deque\n\n"
                "def happenings(events):\n"
                "    last, count = deque(maxlen=50), 0\n"
                "    for event in events:\n"
                "        count += event.event_id not in last\n"
                "        last.append(event.event_id)\n"
                "    return count",
                "delivered again is still one happening",
            ),
            Wrong(
                "copies come one right after the other",
                "def happenings(events):\n"
                "    ids = [e.event_id for e in events]\n"
                "    return sum(1 for a, b in zip([None] + ids, ids) if a != b)",
                "delivered again is still one happening",
            ),
        ),
        other_styles=(
            "def happenings(events):\n    return len(set(events))",
            "def happenings(events):\n"
            "    seen = []\n"
            "    for e in events:\n"
            "        if e.event_id not in seen:\n"
            "            seen.append(e.event_id)\n"
            "    return len(seen)",
            "import pandas\n\n"
            "def happenings(events):\n"
            "    return pandas.Series([e.event_id for e in events], dtype=object).nunique()",
        ),
        judge=_happenings,
    ),
    Exercise(
        id="01-2",
        title="Add up the money",
        difficulty="easy",
        minutes=6,
        call="total(values)",
        stub='''import json
from decimal import Decimal


def total(values):
    """The sum of the payments' amounts, exact to the cent."""
    return ...''',
        hints=(
            "What type has the amount after `json.loads(value)`, and what does that type do to 0.10?",
            "`json.loads` has a parameter `parse_float`: it is called with the digits as they stand in the text.",
            "The amount is in the payload: `json.loads(value, parse_float=Decimal)['payload']['amount']`.",
        ),
        reference='''import json
from decimal import Decimal


def total(values):
    """The sum of the payments' amounts, exact to the cent."""
    events = [json.loads(value, parse_float=Decimal) for value in values]
    return sum(event["payload"]["amount"] for event in events)''',
        explanation="`parse_float=Decimal` makes a Decimal from the digits themselves. Once an amount has been a "
        "float, what was lost is lost: Decimal(1499.99) shows it, and rounding only hides it. `Event.decode` does the "
        "same.",
        wrong=(
            Wrong(
                "floats are good enough",
                "def total(values):\n    return sum(json.loads(v)['payload']['amount'] for v in values)",
                "a binary float cannot be",
            ),
            Wrong(
                "rounding repairs it",
                "def total(values):\n    return round(sum(json.loads(v)['payload']['amount'] for v in values), 2)",
                "a binary float cannot be",
            ),
            Wrong(
                "a Decimal made of a float is exact",
                "def total(values):\n"
                "    return sum((Decimal(json.loads(v)['payload']['amount']) for v in values), Decimal(0))",
                "somewhere on its way an amount was a binary float",
            ),
            Wrong(
                "the float's text is what was sent",
                "def total(values):\n"
                "    return sum((Decimal(str(json.loads(v)['payload']['amount'])) for v in values), Decimal(0))",
                "somewhere on its way an amount was a binary float",
            ),
            Wrong(
                "what was paid before is in the sum",
                "def total(values, amounts=[]):\n"
                "    amounts += [json.loads(v, parse_float=Decimal)['payload']['amount'] for v in values]\n"
                "    return sum(amounts)",
                "every payment counts once",
            ),
            Wrong(
                "a list has a few payments",
                "def total(values):\n"
                "    return sum(json.loads(v, parse_float=Decimal)['payload']['amount'] for v in values[:20])",
                "every payment counts once",
            ),
            Wrong(
                "every amount has a point",
                "import re\n\n"
                "def total(values):\n"
                "    return sum(Decimal(re.search(rb'\"amount\": (\\d+\\.\\d+)', v)[1].decode()) for v in values)",
                "TypeError",
            ),
            Wrong(
                "each amount is to be counted once",
                "def total(values):\n"
                "    return sum({json.loads(v, parse_float=Decimal)['payload']['amount'] for v in values})",
                "also when two have the same amount",
            ),
        ),
        other_styles=(
            "import numpy\n\n"
            "def total(values):\n"
            "    amounts = [json.loads(v, parse_float=Decimal)['payload']['amount'] for v in values]\n"
            "    return numpy.array(amounts, dtype=object).sum()",
            "import pandas\n\n"
            "def total(values):\n"
            "    rows = [json.loads(v, parse_float=Decimal, parse_int=Decimal)['payload'] for v in values]\n"
            "    return pandas.DataFrame(rows, columns=['amount'], dtype=object)['amount'].sum()",
            "from labsupport import Event\n\n"
            "def total(values):\n    return sum(Event.decode(v).payload['amount'] for v in values)",
            "def total(values):\n"
            "    amount = Decimal('0.00')\n"
            "    for value in values:\n"
            "        event = json.loads(value.decode(), parse_float=Decimal, parse_int=Decimal)\n"
            "        amount += event['payload']['amount']\n"
            "    return amount",
        ),
        judge=_total,
    ),
)
