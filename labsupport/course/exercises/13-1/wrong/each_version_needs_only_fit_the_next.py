# each version needs only fit the next one -> a transitive level compares with all of them
from labsupport import avro_data


def compatible(new, old, level):
    chain = [*old, new]
    pairs = list(zip(chain, chain[1:])) if level.endswith("_TRANSITIVE") else list(zip(chain, chain[1:]))[-1:]
    backward = all(avro_data.can_read(b, a) for a, b in pairs)
    forward = all(avro_data.can_read(a, b) for a, b in pairs)
    name = level.removesuffix("_TRANSITIVE")
    return (name not in ("BACKWARD", "FULL") or backward) and (name not in ("FORWARD", "FULL") or forward)
