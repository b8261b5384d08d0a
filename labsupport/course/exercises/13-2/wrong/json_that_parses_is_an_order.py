# JSON that parses is an order -> EventError
import json

from labsupport import EventError, avro_data


def decode(value, schema_of, reader):
    if not value:
        raise EventError("no value")
    number = int.from_bytes(value[1:5], "big")
    try:
        if value[0] != 0:
            defaults = {each["name"]: each["default"] for each in reader["fields"] if "default" in each}
            order = defaults | dict(json.loads(value))
            return {each["name"]: order.get(each["name"]) for each in reader["fields"]}
    except (ValueError, TypeError) as error:
        raise EventError("not JSON") from error
    try:
        return avro_data.decode(value[5:], schema_of(number), reader)
    except Exception as error:
        if getattr(error, "http_status_code", 404) != 404 or "Connect" in type(error).__name__:
            raise
        raise EventError(f"number {number}: {error!r}") from error
