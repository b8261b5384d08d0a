from labsupport import avro_data


def compatible(new, old, level):
    """Whether the registry accepts `new` after the versions in `old`."""
    compared = old if level.endswith("_TRANSITIVE") else old[-1:]
    backward = all(avro_data.can_read(new, each) for each in compared)
    forward = all(avro_data.can_read(each, new) for each in compared)
    match level.removesuffix("_TRANSITIVE"):
        case "BACKWARD":
            return backward
        case "FORWARD":
            return forward
        case "FULL":
            return backward and forward
        case "NONE":
            return True
