# an order has the fields of its writer -> with the fields of reader
import json

from labsupport import EventError, avro_data


def decode(value, schema_of, reader):
    if value is None:
        raise EventError("no value")
    number = int.from_bytes(value[1:5], "big")
    writer = schema_of(number) if value[:1] == b"\0" else None
    if writer:
        return avro_data.decode(value[5:], writer)
    return avro_data.decode(avro_data.encode(reader, json.loads(value)), reader)
