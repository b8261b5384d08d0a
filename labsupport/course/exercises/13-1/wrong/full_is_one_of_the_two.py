# full is one of the two -> both directions
from labsupport import avro_data


def compatible(new, old, level):
    compared = old if level.endswith("_TRANSITIVE") else old[-1:]
    backward = all(avro_data.can_read(new, each) for each in compared)
    forward = all(avro_data.can_read(each, new) for each in compared)
    name = level.removesuffix("_TRANSITIVE")
    return {"BACKWARD": backward, "FORWARD": forward, "FULL": backward or forward, "NONE": True}[name]
