from labsupport import avro_data


def compatible(new, old, level):
    if level == "NONE" or not old:
        return True
    if "TRANSITIVE" not in level:
        old = [old[-1]]
    for version in old:
        if "FORWARD" not in level and not avro_data.can_read(new, version):
            return False
        if "BACKWARD" not in level and not avro_data.can_read(version, new):
            return False
    return True
