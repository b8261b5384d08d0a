from labsupport import avro_data


def compatible(new, old, level):
    """Whether the registry accepts `new` after the versions in `old`."""
    return ...
