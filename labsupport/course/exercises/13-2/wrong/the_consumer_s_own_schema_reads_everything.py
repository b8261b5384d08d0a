# the consumer's own schema reads everything -> by its own schema alone
import json

from labsupport import EventError, avro_data


def decode(value, schema_of, reader):
    try:
        if value[:1] == b"\0":
            schema_of(int.from_bytes(value[1:5], "big"))
            return avro_data.decode(value[5:], reader)
        return avro_data.decode(avro_data.encode(reader, json.loads(value)), reader)
    except Exception as error:
        raise EventError(repr(error)) from error
