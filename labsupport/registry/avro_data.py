"""Avro's binary encoding, and whether a schema can read what another one wrote. Pure. Lesson 13.

Schemas are dicts, as their JSON has them.
"""

import io
import json
from collections.abc import Mapping
from typing import Any

import fastavro

from labsupport.registry import avro_schemas

AvroSchema = Mapping[str, Any]


def encode(schema: AvroSchema, value: Mapping[str, Any]) -> bytes:
    """Return the value in Avro's binary encoding. Raises ValueError or TypeError if it does not fit the schema."""
    data = io.BytesIO()
    fastavro.schemaless_writer(data, dict(schema), value, strict=False)
    return data.getvalue()


def decode(data: bytes, writer: AvroSchema, reader: AvroSchema | None = None) -> Any:
    """Return the value that `writer` wrote, as `reader` sees it, by default as it was written.

    Raises SchemaResolutionError if `reader` cannot read it, and various errors if `writer` did not write it.
    """
    return fastavro.schemaless_reader(io.BytesIO(data), dict(writer), dict(reader) if reader else None)


def can_read(reader: AvroSchema, writer: AvroSchema) -> bool:
    """Whether `reader` can read everything that `writer` writes. Raises SchemaError if one of them is no schema."""
    return not avro_schemas.can_read(avro_schemas.parse(json.dumps(reader)), avro_schemas.parse(json.dumps(writer)))
