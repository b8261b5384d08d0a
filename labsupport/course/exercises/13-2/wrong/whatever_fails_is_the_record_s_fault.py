# whatever fails is the record's fault -> every record would become a dead letter
import json

from labsupport import EventError, avro_data


def decode(value, schema_of, reader):
    try:
        if value[:1] == b"\0":
            number = int.from_bytes(value[1:5], "big")
            return avro_data.decode(value[5:], schema_of(number), reader)
        return avro_data.decode(avro_data.encode(reader, json.loads(value)), reader)
    except Exception as error:
        raise EventError(f"number {value and int.from_bytes(value[1:5], 'big')}: {error!r}") from error
