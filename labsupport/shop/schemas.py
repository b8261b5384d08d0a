"""The shop's order as an Avro schema, and how to change it. Pure. Lesson 13."""

from collections.abc import Mapping
from typing import Any

VALUES = {
    "event_version": 1,
    "order_id": "ORD-123",
    "user_id": "USR-456",
    "customer_id": "USR-456",
    "amount": 149999,
    "items": 2,
    "currency": "EUR",
    "coupon": None,
}
STATUS = {"type": "enum", "name": "Status", "symbols": ["OPEN", "PAID"]}
ALIASED = {"name": "customer_id", "aliases": ["user_id"]}
SENT = {**STATUS, "symbols": ["OPEN", "PAID", "SENT"]}


def record(**fields: Any) -> dict[str, Any]:
    """The schema of an order with these fields: each a type, or a dict of the field's attributes."""
    return {"type": "record", "name": "OrderCreated", "fields": [_field(*each) for each in fields.items()]}


def evolve(schema: Mapping[str, Any], **changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy of the schema: with these attributes of fields, with new fields, and without those that are None."""
    fields = {each["name"]: each for each in schema["fields"]}
    for name, change in changes.items():
        fields[name] = {**fields.get(name, {"name": name}), **(change or {})}
    return {**schema, "fields": [each for name, each in fields.items() if changes.get(name, {}) is not None]}


def example(schema: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """An order with a value for each field of the schema, and these `values`; of an enum it has the newest symbol."""
    newest = {each["name"]: each["type"]["symbols"][-1] for each in schema["fields"] if isinstance(each["type"], dict)}
    return {each["name"]: (VALUES | newest | values)[each["name"]] for each in schema["fields"]}


def _field(name: str, about: Any) -> dict[str, Any]:
    return {"name": name, **(about if isinstance(about, dict) and "name" not in about else {"type": about})}


ORDER = record(
    event_version="int",
    order_id="string",
    user_id="string",
    amount={"type": "long", "doc": "in cents"},
    items="int",
    status=STATUS,
)
WITH_DEFAULT_STATUS = evolve(ORDER, status={"type": {**STATUS, "default": "OPEN"}})
