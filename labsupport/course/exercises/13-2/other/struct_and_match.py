import json
import struct

from labsupport import EventError, avro_data


def decode(value, schema_of, reader):
    try:
        magic, number = struct.unpack(">bI", (value or b"")[:5])
        wire = magic == 0
    except struct.error:
        wire = False
    if not wire:
        try:
            order = json.loads(value)
            defaults = {each["name"]: each["default"] for each in reader["fields"] if "default" in each}
            complete = {**defaults, **order}
            return {each["name"]: complete[each["name"]] for each in reader["fields"]}
        except Exception as error:
            raise EventError("neither in the wire format nor JSON: " + repr(error)) from None
    try:
        writer = schema_of(number)
    except Exception as error:
        if "40403" not in str(error):
            raise
        raise EventError(f"schema {number}: {error}") from error
    try:
        return avro_data.decode(value[5:], writer, reader)
    except Exception as error:
        raise EventError(f"schema {number}: {type(error).__name__} {error}") from error
