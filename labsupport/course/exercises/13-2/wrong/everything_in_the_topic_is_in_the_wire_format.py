# everything in the topic is in the wire format -> from before the registry
from labsupport import EventError, avro_data, wire_format


def decode(value, schema_of, reader):
    number, data = wire_format.unpack(value)
    try:
        return avro_data.decode(data, schema_of(number), reader)
    except Exception as error:
        raise EventError(repr(error)) from error
