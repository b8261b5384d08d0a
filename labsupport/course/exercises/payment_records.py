"""Payment records: made, sent through Kafka and read back."""

from collections.abc import Sequence
from decimal import Decimal

from labsupport.course.exercise import through_kafka
from labsupport.course.lab import Lab
from labsupport.shop import story
from labsupport.shop.event import Event


def come_back(lab: Lab, values: Sequence[bytes]) -> list[bytes]:
    """The values as the broker returns them, in the order of sending."""
    return [record.value for record in through_kafka(lab, ({"value": value} for value in values)).records]


def payment(event_id: str, order_id: str, amount: str) -> bytes:
    """The value of a payment's record; all payments have the same timestamp."""
    payload = {"order_id": order_id, "amount": Decimal(amount)}
    return Event("PaymentProcessed", 1, event_id, story.OPENING, payload).encode()
