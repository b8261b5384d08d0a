"""01-2: the total is exact, for amounts that a binary float cannot hold."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import islice
from random import randrange
from uuid import UUID

from labsupport.course.exercise import Exercise
from labsupport.course.exercises.payment_records import come_back, payment
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, kind_of, shown
from labsupport.shop import story
from labsupport.shop.event import Event

# Each list exposes a wrong way of adding.
AMOUNTS: tuple[list[str], ...] = (
    ["1499.99"],
    ["0.10"] * 20,
    ["20.00"] * 3,
    ["20", "0.05"],
    ["90071992547409.93"],
    ["0.01", "1000000000000000.00", "0.02"],
    [],
)


def _total(answer: Submission, lab: Lab) -> str:
    """Amounts that a binary float cannot hold: alone, in a sum, and because they are long."""
    many = [f"{randrange(1, 10**7) / 100:.2f}" for _ in range(60)]  # new ones in each check
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
        rule = "the total must be exact to the cent, and a binary float cannot be"
    elif isinstance(came_back, Decimal) and not came_back.is_finite():
        rule = "a total is a number"
    elif came_back == right:
        return
    elif abs(came_back - right) < Decimal("0.05"):
        rule = "somewhere on its way an amount became a binary float, or was rounded"
    else:
        rule = "every payment counts once, even if two have the same amount"
    few = ", ".join(amounts[:3]) + (f" … ({len(amounts)} payments)" if len(amounts) > 3 else "")
    raise TryAgain(
        says=f"These payments add up to {right}.",
        given=f"values with the amounts {few}" if amounts else "no values at all",
        came_back=f"{shown(came_back)}, {kind_of(came_back)}",
        rule=rule,
        look_at="what does json.loads make of 1499.99 by default?",
    )


def _paid(seed: int) -> list[Event]:
    return [event for event in story.events(25, seed) if event.event_type == "PaymentProcessed"]


EXERCISE = Exercise(
    id="01-2",
    title="Add up the money",
    difficulty="easy",
    minutes=6,
    call="total(values)",
    hints=(
        "What type has the amount after `json.loads(value)`, and what does that type do to 0.10?",
        "`json.loads` has a parameter `parse_float`, a function that gets the digits as text.",
        "The amount is in the payload: `json.loads(value, parse_float=Decimal)['payload']['amount']`.",
    ),
    explanation="`parse_float=Decimal` makes a Decimal from the digits themselves. A float has lost digits that "
    "nothing brings back: Decimal(1499.99) shows the loss, and rounding only hides it. `Event.decode` also "
    "parses this way.",
    judge=_total,
    points_at=("money",),
)
