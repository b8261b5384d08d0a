# one readable version is enough -> a transitive level compares with all of them
from labsupport import avro_data


def compatible(new, old, level):
    compared = old if level.endswith("_TRANSITIVE") else old[-1:]
    backward = not compared or any(avro_data.can_read(new, each) for each in compared)
    forward = not compared or any(avro_data.can_read(each, new) for each in compared)
    name = level.removesuffix("_TRANSITIVE")
    return (name not in ("BACKWARD", "FULL") or backward) and (name not in ("FORWARD", "FULL") or forward)
