# a record that is no order is None -> nothing (None)
import json

from labsupport import avro_data


def decode(value, schema_of, reader):
    try:
        if value[:1] == b"\0":
            return avro_data.decode(value[5:], schema_of(int.from_bytes(value[1:5], "big")), reader)
        return avro_data.decode(avro_data.encode(reader, json.loads(value)), reader)
    except Exception:
        return None
