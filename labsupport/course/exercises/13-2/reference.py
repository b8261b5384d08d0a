import json

from labsupport import EventError, avro_data


def decode(value, schema_of, reader):
    """The order in a record's value, with the fields of `reader`."""
    if not value:
        raise EventError("no value", value)
    writer = reader
    if value[0] == 0:
        writer = known(schema_of, int.from_bytes(value[1:5], "big"))
    try:
        if value[0] != 0:  # encoding fills in the defaults, and refuses what does not fit
            return avro_data.decode(avro_data.encode(reader, json.loads(value)), reader)
        return avro_data.decode(value[5:], writer, reader)
    except Exception as error:
        raise EventError(f"no order: {error!r}", value) from error


def known(schema_of, number):
    try:
        return schema_of(number)
    except Exception as error:  # only this one is the record's fault
        if getattr(error, "http_status_code", None) == 404:
            raise EventError(f"no schema has the number {number}") from error
        raise
