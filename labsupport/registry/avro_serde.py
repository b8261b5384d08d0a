"""Confluent's serializer and deserializer for the values of one topic, for use with any Kafka client. Lesson 13."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from labsupport.registry.avro_data import AvroSchema


def schema(schema: AvroSchema) -> Schema:
    """The schema as the registry's client wants it."""
    return Schema(json.dumps(schema), "AVRO")


def serializer(client: SchemaRegistryClient, topic: str, schema: AvroSchema) -> Callable[[Mapping[str, Any]], bytes]:
    """Return a function that encodes values. At its first call it registers the schema, as is Confluent's default.

    The function raises SchemaRegistryError if the registry refuses the schema.
    """
    encode = AvroSerializer(client, json.dumps(schema))
    where = SerializationContext(topic, MessageField.VALUE)
    return lambda value: encode(value, where)


def deserializer(
    client: SchemaRegistryClient, topic: str, reader: AvroSchema | None = None
) -> Callable[[bytes], dict[str, Any]]:
    """Return a function that decodes values, as `reader` sees them, by default as they were written.

    It asks the registry for each id that it has not met yet, and raises SchemaRegistryError if the registry does not
    know it.
    """
    decode = AvroDeserializer(client, json.dumps(reader) if reader else None)
    where = SerializationContext(topic, MessageField.VALUE)
    return lambda value: decode(value, where)
