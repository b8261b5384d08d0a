import json

import fastavro.read
from confluent_kafka.schema_registry import SchemaRegistryError
from labsupport import EventError, avro_data, wire_format


def from_json(value, reader):
    try:
        order = json.loads(value.decode())
        return {
            field["name"]: order[field["name"]]
            if "default" not in field
            else order.get(field["name"], field["default"])
            for field in reader["fields"]
        }
    except (ValueError, KeyError, TypeError) as error:
        raise EventError(f"not JSON of an order: {error}") from error


def decode(value, schema_of, reader):
    if value and not value.startswith(b"\0"):
        return from_json(value, reader)
    number, data = wire_format.unpack(value)
    try:
        writer = schema_of(number)
    except SchemaRegistryError as error:
        if error.http_status_code != 404:
            raise
        raise EventError(f"unknown schema {number}") from error
    try:
        return avro_data.decode(data, writer, reader)
    except (EOFError, fastavro.read.SchemaResolutionError, ValueError, IndexError, TypeError) as error:
        raise EventError(f"schema {number} did not write this: {error!r}") from error
