# an unknown number is an outage -> would be tried again and again
import json

from labsupport import EventError, avro_data


def decode(value, schema_of, reader):
    if value is None:
        raise EventError("no value")
    writer = schema_of(int.from_bytes(value[1:5], "big")) if value[:1] == b"\0" else None
    try:
        if writer:
            return avro_data.decode(value[5:], writer, reader)
        return avro_data.decode(avro_data.encode(reader, json.loads(value)), reader)
    except Exception as error:
        raise EventError(repr(error)) from error
