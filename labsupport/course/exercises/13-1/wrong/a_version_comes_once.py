# a version comes once, so the same again is refused -> The registry accepts
from labsupport import avro_data


def compatible(new, old, level):
    if new in old:
        return False
    compared = old if level.endswith("_TRANSITIVE") else old[-1:]
    backward = all(avro_data.can_read(new, each) for each in compared)
    forward = all(avro_data.can_read(each, new) for each in compared)
    name = level.removesuffix("_TRANSITIVE")
    return (name not in ("BACKWARD", "FULL") or backward) and (name not in ("FORWARD", "FULL") or forward)
