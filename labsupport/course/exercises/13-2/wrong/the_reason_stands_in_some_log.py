# the reason stands in some log -> says nothing
import json

from labsupport import EventError, avro_data


def decode(value, schema_of, reader):
    if not value:
        raise EventError("")
    number = int.from_bytes(value[1:5], "big")
    try:
        writer = schema_of(number) if value[0] == 0 else None
    except Exception as error:
        if getattr(error, "http_status_code", None) != 404:
            raise
        raise EventError("") from error
    try:
        if writer:
            return avro_data.decode(value[5:], writer, reader)
        return avro_data.decode(avro_data.encode(reader, json.loads(value)), reader)
    except Exception as error:
        raise EventError("") from error
