# backward means that old programs go on -> has not been upgraded
from labsupport import avro_data


def compatible(new, old, level):
    compared = old if level.endswith("_TRANSITIVE") else old[-1:]
    backward = all(avro_data.can_read(each, new) for each in compared)
    forward = all(avro_data.can_read(new, each) for each in compared)
    name = level.removesuffix("_TRANSITIVE")
    return (name not in ("BACKWARD", "FULL") or backward) and (name not in ("FORWARD", "FULL") or forward)
