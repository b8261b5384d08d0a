# a known number means sound data -> EOFError
import json

from labsupport import EventError, avro_data


def decode(value, schema_of, reader):
    if value is None:
        raise EventError("no value")
    if value[:1] != b"\0":
        try:
            return avro_data.decode(avro_data.encode(reader, json.loads(value)), reader)
        except Exception as error:
            raise EventError(repr(error)) from error
    number = int.from_bytes(value[1:5], "big")
    try:
        writer = schema_of(number)
    except Exception as error:
        if getattr(error, "http_status_code", None) != 404:
            raise
        raise EventError(f"no schema {number}") from error
    return avro_data.decode(value[5:], writer, reader)
