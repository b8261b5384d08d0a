from labsupport import avro_data

DIRECTIONS = {
    "NONE": [],
    "BACKWARD": [lambda new, old: avro_data.can_read(new, old)],
    "FORWARD": [lambda new, old: avro_data.can_read(old, new)],
}
DIRECTIONS["FULL"] = DIRECTIONS["BACKWARD"] + DIRECTIONS["FORWARD"]


def compatible(new, old, level):
    name, _, transitive = level.partition("_")
    compared = old if transitive else old[-1:]
    return all(allowed(new, each) for allowed in DIRECTIONS[name] for each in compared)
