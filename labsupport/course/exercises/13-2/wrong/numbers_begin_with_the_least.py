# numbers begin with the least significant byte -> 16777216
import json

from labsupport import EventError, avro_data


def decode(value, schema_of, reader):
    try:
        if value[:1] == b"\0":
            writer = schema_of(int.from_bytes(value[1:5], "little"))
            return avro_data.decode(value[5:], writer, reader)
        return avro_data.decode(avro_data.encode(reader, json.loads(value)), reader)
    except Exception as error:
        raise EventError(repr(error)) from error
