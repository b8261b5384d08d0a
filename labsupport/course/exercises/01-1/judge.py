"""01-1: the function counts events by their id, in every list of up to four deliveries of three events."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import product
from uuid import uuid4

from labsupport.course.exercise import Exercise
from labsupport.course.exercises.payment_records import come_back, payment
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown
from labsupport.shop import story
from labsupport.shop.event import Event


def _require_same(came_back: int, events: Sequence[Event]) -> None:
    right = len({event.event_id for event in events})
    if came_back != right:
        raise TryAgain(
            says=f"{right} things happened here. Your function returns {shown(came_back)}.",
            story="\n".join(_line(event) for event in events[:12]) + "\n…" * (len(events) > 12) or "(an empty list)",
            rule="an event that is delivered again has still happened once"
            if came_back > right
            else "two events may look alike and still be two",
            look_at="which field of the envelope identifies the event?",
        )


def _happenings(answer: Submission, lab: Lab) -> str:
    """Every list of up to four deliveries of three events, shortest first; two of them look alike. Then a long list."""
    ids = [str(uuid4()) for _ in range(60)]  # new ones in each check
    # The first two ids differ only in the middle, where the story shows it.
    ids[0], ids[1] = (f"{ids[0][:9]}{group}{ids[0][13:]}" for group in ("aaaa", "bbbb"))
    order = {"order_id": "ORD-124", "user_id": "USR-456", "amount": Decimal("7.50")}
    sent = [
        payment(ids[0], "ORD-123", "50.00"),
        payment(ids[1], "ORD-123", "50.00"),
        Event("OrderCreated", 1, ids[2], story.OPENING, order).encode(),
    ]
    delivered = come_back(lab, [*sent, *(payment(each, "ORD-125", "50.00") for each in ids)])
    lists = [each for length in range(5) for each in product(delivered[:3], repeat=length)]
    for values in (*lists, delivered[3:] * 2):
        events = [Event.decode(value) for value in values]
        _require_same(answer(events, returns=int), events)
    return (
        f"Right for all {len(lists)} lists of up to four deliveries of three events, and for a list of {2 * len(ids)}."
    )


def _line(event: Event) -> str:
    what = event.payload
    return f"id {event.event_id}  {event.event_type}  {event.timestamp:%H:%M:%S}  {what['order_id']}  {what['amount']}"


EXERCISE = Exercise(
    id="01-1",
    title="How many things have happened?",
    difficulty="easy",
    minutes=6,
    call="happenings(events)",
    hints=(
        "Two events have the same payload and the same time. How do you know that they are two?",
        "Each event has an `event_id`. How many different ones are in the list?",
        "A set holds each value once: `{event.event_id for event in events}`.",
    ),
    explanation="The publisher gives each event its id once, and every copy carries it. Payload and time do not "
    "identify an event: a customer may pay 50.00 twice within a second.",
    judge=_happenings,
)
