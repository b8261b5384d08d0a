# every level looks at all versions -> compares with the latest version alone
from labsupport import avro_data


def compatible(new, old, level):
    backward = all(avro_data.can_read(new, each) for each in old)
    forward = all(avro_data.can_read(each, new) for each in old)
    name = level.removesuffix("_TRANSITIVE")
    return (name not in ("BACKWARD", "FULL") or backward) and (name not in ("FORWARD", "FULL") or forward)
