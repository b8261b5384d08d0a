# nullable is optional -> nullable is not a default
from labsupport import avro_data


def readable(reader, writer):
    written = {each["name"] for each in writer["fields"]}
    for field in reader["fields"]:
        nullable = isinstance(field["type"], list) and "null" in field["type"]
        if field["name"] not in written and "default" not in field and not nullable:
            return False
    return True


def compatible(new, old, level):
    compared = old if level.endswith("_TRANSITIVE") else old[-1:]
    backward = all(readable(new, each) for each in compared)
    forward = all(readable(each, new) for each in compared)
    name = level.removesuffix("_TRANSITIVE")
    return (name not in ("BACKWARD", "FULL") or backward) and (name not in ("FORWARD", "FULL") or forward)
