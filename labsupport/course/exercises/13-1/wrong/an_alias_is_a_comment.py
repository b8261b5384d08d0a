# an alias is a comment -> names the writer's field
from labsupport import avro_data


PROMOTES = {("int", "long")}


def readable(reader, writer):
    written = {each["name"]: each["type"] for each in writer["fields"]}
    for f in reader["fields"]:
        if f["name"] not in written:
            if "default" not in f:
                return False
        elif written[f["name"]] != f["type"] and not (
            isinstance(f["type"], str) and (written[f["name"]], f["type"]) in PROMOTES
        ):
            return False
    return True


def compatible(new, old, level):
    compared = old if level.endswith("_TRANSITIVE") else old[-1:]
    backward = all(readable(new, each) for each in compared)
    forward = all(readable(each, new) for each in compared)
    name = level.removesuffix("_TRANSITIVE")
    return (name not in ("BACKWARD", "FULL") or backward) and (name not in ("FORWARD", "FULL") or forward)
