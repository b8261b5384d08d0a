# NONE allows nothing -> NONE compares with nothing
from labsupport import avro_data


def compatible(new, old, level):
    compared = old if level.endswith("_TRANSITIVE") else old[-1:]
    backward = all(avro_data.can_read(new, each) for each in compared)
    forward = all(avro_data.can_read(each, new) for each in compared)
    if level.startswith("BACKWARD"):
        return backward
    return forward if level.startswith("FORWARD") else backward and forward
