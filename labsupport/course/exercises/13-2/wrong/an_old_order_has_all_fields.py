# an old order has all fields -> 'currency'
import json

from labsupport import EventError, avro_data


def decode(value, schema_of, reader):
    if value is None:
        raise EventError("no value")
    number = int.from_bytes(value[1:5], "big")
    try:
        if value[0] != 0:
            return json.loads(value)
        writer = schema_of(number)
    except ValueError as error:
        raise EventError("not JSON") from error
    return avro_data.decode(value[5:], writer, reader)
