# fields are read by their position -> a field's type, too
from labsupport import avro_data


def readable(reader, writer):
    a, b = reader["fields"], writer["fields"]
    for n, f in enumerate(a):
        if n < len(b) and f["name"] == b[n]["name"]:
            if f["type"] != b[n]["type"] and (b[n]["type"], f["type"]) != ("int", "long"):
                return False
        elif n < len(b) and b[n]["name"] in f.get("aliases", []):
            pass
        elif "default" not in f:
            return False
    return True


def compatible(new, old, level):
    compared = old if level.endswith("_TRANSITIVE") else old[-1:]
    backward = all(readable(new, each) for each in compared)
    forward = all(readable(each, new) for each in compared)
    name = level.removesuffix("_TRANSITIVE")
    return (name not in ("BACKWARD", "FULL") or backward) and (name not in ("FORWARD", "FULL") or forward)
