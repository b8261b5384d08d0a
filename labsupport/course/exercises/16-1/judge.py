"""16-1: of an old event, what can still be known by another limit, for every order that may have published it."""

import json
from random import randrange
from types import NoneType
from typing import Any

from labsupport.console import counted
from labsupport.course.exercise import Exercise
from labsupport.course.exercises.payment_records import come_back
from labsupport.course.lab import Lab
from labsupport.course.submission import Submission, TryAgain, shown

AMOUNTS = range(1, 20_001)  # what an order may amount to, in euros
NO_AMOUNT = "the event has no amount: what does your function take for it?"


def _judge_again(answer: Submission, lab: Lab) -> str:
    """Facts, decisions with and without their limit, and both together; limits on either side, and the same one."""
    old = randrange(200, 900)  # another one in each check
    orders: list[dict[str, Any]] = [{"amount": old}, {"amount": old - 50}, {"amount": 2 * old}]
    orders += [{"risky": risky, "limit": limit} for limit in (old, 400) for risky in (True, False)]
    orders += [{"limit": limit, "risky": risky} for limit in (1, 10 * old) for risky in (True, False)]
    orders += [{"risky": True}, {"risky": False}, {"amount": 1}]
    # An amount counts, whatever else the event says: the old limit, the flag, both, also if they contradict it.
    beside: list[dict[str, Any]] = [{"risky": risky, "limit": old} for risky in (True, False)]
    beside += [{"risky": True}, {"risky": False}, {"limit": old}]
    orders += [{**more, "amount": amount} for more in beside for amount in (old + 50, old - 50)]
    values = come_back(lab, [json.dumps(each).encode() for each in orders])
    for order in map(json.loads, values):
        around = order.get("limit", order.get("amount", old))
        for limit in (around, around - 100, around + 100, around - 1, around + 1):
            if limit >= 1:
                _require(order, limit, answer(order, limit, returns=(bool, NoneType), asks="True, False or None"))
    return f"Right for {len(orders)} events, each judged again by several limits."


def _possible(order: dict[str, Any]) -> list[int]:
    """The amounts of all orders that publish this event."""
    if "amount" in order:
        return [order["amount"]]
    if "limit" not in order:
        return [*AMOUNTS]
    return [amount for amount in AMOUNTS if (amount > order["limit"]) == order["risky"]]


def _require(order: dict[str, Any], limit: int, came_back: bool | None) -> None:
    amounts = _possible(order)
    verdicts = {amount > limit for amount in amounts}
    right = verdicts.pop() if len(verdicts) == 1 else None
    if came_back is right:
        return
    facts: dict[str, Any] = {"given": f"judge_again({order}, {limit})", "came_back": shown(came_back)}
    word = "risky" if right else "not risky"
    if "amount" in order:
        above = "above" if right else "not above"
        raise TryAgain(
            says=f"The amount is known: {order['amount']} is {above} {limit}, so the order is {word}.",
            **facts,
            rule="risky is an order above the limit, and the amount tells",
            look_at="which field do you look at first, and with which comparison?",
        )
    if right is not None:
        bound = f"{'more than' if order['risky'] else 'at most'} {counted(order['limit'], 'euro')}"
        raise TryAgain(
            says=f"This can be known: the order is {word}.",
            **facts,
            rule=f"every order with this event amounts to {bound}",
            look_at=NO_AMOUNT if came_back is False else f"what does that say about the new limit, {limit}?",
        )
    # Two orders, a euro on either side of the new limit, with one event.
    one = max(amount for amount in amounts if amount <= limit)
    other = min(amount for amount in amounts if amount > limit)
    if "limit" not in order:
        why, look_at = "by a limit that nobody knows", "what do you do if the event has no limit?"
    else:
        why, look_at = f"by another limit, {order['limit']}", "is the new limit above or below the one of the decision?"
    if came_back is False and order["risky"]:
        look_at = NO_AMOUNT
    raise TryAgain(
        says=f"Nobody can know: orders of {one} and of {other} euros both have this event, and only one is risky.",
        **facts,
        rule=f"the producer decided {why}",
        look_at=look_at,
    )


EXERCISE = Exercise(
    id="16-1",
    title="Judge again",
    difficulty="medium",
    minutes=6,
    call="judge_again(order, limit)",
    hints=(
        "An order was risky when the limit was 400. Which amounts can it have? Are all of them above 200? Above 600?",
        "Risky with a limit says: the amount is above that limit. Not risky says: it is at most that limit. Compare "
        "that with the new limit; if some amounts are above it and some are not, the answer is None.",
        "First look for an amount. Without one and without a limit: None. If the order was risky, it is so for every "
        "new limit up to the old one; if it was not, it is not for every new limit from the old one on.",
    ),
    explanation="A decision is worth what its rule is worth: with the limit beside it the event still answers some "
    "questions, and without it none. The fact, the amount, answers all of them. So publish the fact; and if you "
    "publish a decision that others rely on, publish the rule's version with it.",
    judge=_judge_again,
    points_at=("ep-2",),
)
