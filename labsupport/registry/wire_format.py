"""The five bytes in front of a value: a zero, and the id of the schema that wrote it. Pure. Lesson 13.

This is the "wire format" of Confluent's documentation of its serializers; other registries' clients use it, too.
"""

from labsupport.errors import EventError

MAGIC = 0
LENGTH = 5  # bytes: the zero, and the id in four, the most significant first


def pack(schema_id: int, data: bytes) -> bytes:
    """Return the value of a record: the id, then the data. Raises OverflowError for an id of more than four bytes."""
    return bytes([MAGIC]) + schema_id.to_bytes(4, "big") + data


def unpack(value: bytes | None) -> tuple[int, bytes]:
    """Return the id and the data in a record's value. Raises EventError, which keeps the bytes, if it has no id."""
    if value is None or len(value) < LENGTH or value[0] != MAGIC:
        seen = "no value" if value is None else "too short" if len(value) < LENGTH else f"the first is 0x{value[0]:02x}"
        raise EventError(f"no schema id in the first five bytes: {seen}", value)
    return int.from_bytes(value[1:LENGTH], "big"), value[LENGTH:]
