# a type is what a field says, and nothing inside it counts -> a field's type, too
from labsupport import avro_data


PROMOTES = {("int", "long"), ("int", "double"), ("long", "double")}


def readable(reader, writer):
    written = {each["name"]: each["type"] for each in writer["fields"]}
    for f in reader["fields"]:
        names = [f["name"], *f.get("aliases", [])]
        types = [written[n] for n in names if n in written]
        if not types:
            if "default" not in f:
                return False
        elif types[0] != f["type"] and not (
            isinstance(types[0], str) and isinstance(f["type"], str) and (types[0], f["type"]) in PROMOTES
        ):
            return False
    return True


def compatible(new, old, level):
    compared = old if level.endswith("_TRANSITIVE") else old[-1:]
    backward = all(readable(new, each) for each in compared)
    forward = all(readable(each, new) for each in compared)
    name = level.removesuffix("_TRANSITIVE")
    return (name not in ("BACKWARD", "FULL") or backward) and (name not in ("FORWARD", "FULL") or forward)
