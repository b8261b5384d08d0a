from labsupport import avro_data


def compatible(new, old, level):
    """A registry returns the version that it has already."""
    if new in old:
        return True
    compared = old if level.endswith("_TRANSITIVE") else old[-1:]
    backward = all(avro_data.can_read(new, each) for each in compared)
    forward = all(avro_data.can_read(each, new) for each in compared)
    return {"BACK": backward, "FORW": forward, "FULL": backward and forward, "NONE": True}[level[:4]]
