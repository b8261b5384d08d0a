import json

from labsupport import EventError, avro_data


def decode(value, schema_of, reader):
    """The order in a record's value, with the fields of `reader`."""
    return ...
