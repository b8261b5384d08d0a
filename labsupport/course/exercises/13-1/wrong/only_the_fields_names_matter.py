# only the fields' names matter -> a field's type, too
from labsupport import avro_data


def readable(reader, writer):
    written = {each["name"] for each in writer["fields"]}
    return all(field["name"] in written or "default" in field for field in reader["fields"])


def compatible(new, old, level):
    compared = old if level.endswith("_TRANSITIVE") else old[-1:]
    backward = all(readable(new, each) for each in compared)
    forward = all(readable(each, new) for each in compared)
    name = level.removesuffix("_TRANSITIVE")
    return (name not in ("BACKWARD", "FULL") or backward) and (name not in ("FORWARD", "FULL") or forward)
