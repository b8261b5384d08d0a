import json

from labsupport import EventError, avro_data


def known(schema_of, number):
    try:
        return schema_of(number)
    except Exception as error:
        if getattr(error, "http_status_code", None) == 404:
            raise EventError(f"no schema has the number {number}") from error
        raise


def decode(value, schema_of, reader):
    try:
        order = json.loads(value or b"")
    except ValueError:
        order = None
    if order is not None:
        if not isinstance(order, dict):
            raise EventError("JSON, but not an object")
        result = {}
        for field in reader["fields"]:
            if field["name"] in order:
                result[field["name"]] = order[field["name"]]
            elif "default" in field:
                result[field["name"]] = field["default"]
            else:
                raise EventError("no " + field["name"])
        return result
    if value is None or len(value) < 5 or value[0]:
        raise EventError("neither JSON nor wire format")
    writer = known(schema_of, int.from_bytes(value[1:5], "big"))
    try:
        return dict(avro_data.decode(value[5:], writer, reader))
    except Exception as error:
        raise EventError("broken") from error
