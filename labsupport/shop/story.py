"""The story of all lessons: a shop with auctions, and any number of its events, always the same.

Four services publish them: orders, payments, bids and reports. Nothing here knows Kafka.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from labsupport.settings import Settings
from labsupport.shop.event import Event

OPENING = datetime(2026, 4, 16, 10, 30, tzinfo=UTC)  # events follow each other by one second
CUSTOMERS = tuple(f"USR-{number}" for number in range(456, 462))
AUCTIONS = ("AUC-7", "AUC-8", "AUC-9")
KEYS = {"OrderCreated": "order_id", "PaymentProcessed": "order_id", "BidSubmitted": "auction_id"}


def events(count: int, seed: int | None = None) -> list[Event]:
    """The first `count` events of the shop's day, in order.

    The same `seed` gives the same events; it defaults to `LAB_SEED` (an integer, 2026 by default). Every order is paid
    once, some events later. Raises LabError if LAB_SEED is not an integer.
    """
    return list(islice(_day(Settings.from_environment().seed if seed is None else seed), count))


def orders(count: int) -> list[Event]:
    """The first `count` orders of the same day."""
    created = (each for each in _day(Settings.from_environment().seed) if each.event_type == "OrderCreated")
    return list(islice(created, count))


def key_of(event: Event) -> bytes:
    """The record's key: the event's order, auction or report."""
    return event.payload[KEYS.get(event.event_type, "report_id")].encode()


def _day(seed: int) -> Iterator[Event]:
    """Orders, payments and bids, with a report after every nineteen."""
    chance = random.Random(seed)
    unpaid: list[dict[str, Any]] = []
    orders, turnover, number = 0, Decimal(0), 0

    def event(event_type: str, **payload: Any) -> Event:
        nonlocal number
        number += 1
        event_id = str(uuid5(NAMESPACE_URL, f"shop/{seed}/{number}"))
        return Event(event_type, 1, event_id, OPENING + timedelta(seconds=number - 1), payload)

    def price(most: int) -> Decimal:
        return Decimal(chance.randint(100, most)).scaleb(-2)

    while True:
        choice = chance.random()
        if number % 20 == 19:
            yield event("ReportGenerated", report_id=f"REP-{number // 20 + 1}", orders=orders, amount=turnover)
        elif unpaid and (choice < 0.33 or len(unpaid) > 3):
            order = unpaid.pop(0)
            yield event("PaymentProcessed", order_id=order["order_id"], amount=order["amount"])
        elif not orders or choice < 0.62:
            order = {"order_id": f"ORD-{123 + orders}", "user_id": chance.choice(CUSTOMERS), "amount": price(200_000)}
            orders, turnover = orders + 1, turnover + order["amount"]
            unpaid.append(order)
            yield event("OrderCreated", **order)
        else:
            who, auction = chance.choice(CUSTOMERS), chance.choice(AUCTIONS)
            yield event("BidSubmitted", auction_id=auction, user_id=who, amount=price(50_000))
