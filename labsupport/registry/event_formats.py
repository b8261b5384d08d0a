"""The shop's whole event in Avro and in Protobuf, to compare their sizes and times with JSON's. Lesson 13."""

import io
import json
import timeit
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import fastavro
import simplejson
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from labsupport.shop.event import Event

if TYPE_CHECKING:
    import pandas

MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}
TIME = {"type": "long", "logicalType": "timestamp-millis"}
# An OrderCreated with its envelope. The schema names the type of the event, so the data need not.
AVRO = {
    "type": "record",
    "name": "OrderCreated",
    "fields": [
        {"name": "event_version", "type": "int"},
        {"name": "event_id", "type": "string"},
        {"name": "timestamp", "type": TIME},
        {"name": "order_id", "type": "string"},
        {"name": "user_id", "type": "string"},
        {"name": "amount", "type": MONEY},
    ],
}
PROTOBUF = {
    "event_version": (1, "int32"),
    "event_id": (2, "string"),
    "timestamp": (3, "int64"),
    "order_id": (4, "string"),
    "user_id": (5, "string"),
    "amount": (6, "string"),
}


_SCHEMA = fastavro.parse_schema(AVRO)


def fields(event: Event) -> dict[str, Any]:
    """The event's fields, flat; without its type, which the schema has as its name."""
    own = {"event_version": event.event_version, "event_id": event.event_id, "timestamp": event.timestamp}
    return own | dict(event.payload)


def sizes(event: Event) -> "pandas.Series":
    """The bytes that an OrderCreated takes: in JSON as the lab's events have it, in Avro and in Protobuf."""
    import pandas

    known = fields(event)
    values = {"JSON": event.encode(), "Avro": to_avro(known), "Protobuf": to_protobuf(known)}
    return pandas.Series({name: len(value) for name, value in values.items()}, name="bytes")


def times(event: Event, count: int = 1_000, rounds: int = 5) -> "pandas.DataFrame":
    """Seconds for `count` encodings and decodings of an OrderCreated, by format: the best of `rounds` rounds."""
    import pandas

    known = fields(event)
    best = {}
    for name, (encode, decode) in FORMATS.items():
        calls = partial(encode, known), partial(decode, encode(known))
        best[name] = [min(timeit.repeat(call, number=count, repeat=rounds)) for call in calls]
    return pandas.DataFrame(best, ["encoding", "decoding"]).T


# Fields to bytes, and back to the same fields, times and amounts too. No schema id is in front.


def to_json(known: dict[str, Any]) -> bytes:
    """As JSON, which has no times: they are texts."""
    return simplejson.dumps(known | {"timestamp": known["timestamp"].isoformat()}, use_decimal=True).encode()


def from_json(data: bytes) -> dict[str, Any]:
    """The inverse of `to_json`."""
    found = json.loads(data, parse_float=Decimal)
    return found | {"timestamp": datetime.fromisoformat(found["timestamp"])}


def to_avro(known: dict[str, Any]) -> bytes:
    """As Avro."""
    data = io.BytesIO()
    fastavro.schemaless_writer(data, _SCHEMA, known)
    return data.getvalue()


def from_avro(data: bytes) -> dict[str, Any]:
    """The inverse of `to_avro`."""
    return cast(dict[str, Any], fastavro.schemaless_reader(io.BytesIO(data), _SCHEMA, None))


def to_protobuf(known: dict[str, Any]) -> bytes:
    """As Protobuf, which has no decimals: they are texts."""
    milliseconds = int(known["timestamp"].timestamp() * 1000)
    return _Order(**known | {"timestamp": milliseconds, "amount": str(known["amount"])}).SerializeToString()


def from_protobuf(data: bytes) -> dict[str, Any]:
    """The inverse of `to_protobuf`."""
    order = _Order.FromString(data)
    found = {name: getattr(order, name) for name in PROTOBUF}
    at = datetime.fromtimestamp(order.timestamp / 1000, UTC)
    return found | {"timestamp": at, "amount": Decimal(order.amount)}


FORMATS = {"JSON": (to_json, from_json), "Avro": (to_avro, from_avro), "Protobuf": (to_protobuf, from_protobuf)}


def message(name: str, numbered: Mapping[str, tuple[int, str]]) -> Any:
    """Return a class for Protobuf messages; a field has a number and a type, such as `{"order_id": (1, "string")}`.

    The same as of the text `message Name { string order_id = 1; }` (proto3), without a compiler. Raises ValueError for
    an unknown type.
    """
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="shop", syntax="proto3")
    made = file.message_type.add(name=name)
    for each, (number, kind) in numbered.items():
        one = descriptor_pb2.FieldDescriptorProto
        made.field.add(name=each, number=number, type=one.Type.Value(f"TYPE_{kind.upper()}"), label=one.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"shop.{name}"))


_Order = message("OrderCreated", PROTOBUF)
