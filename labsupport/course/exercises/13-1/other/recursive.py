from labsupport import avro_data


def compatible(new, old, level):
    if level == "NONE" or not old:
        return True
    *earlier, latest = old
    if not level.startswith("FORWARD") and not avro_data.can_read(new, latest):
        return False
    if not level.startswith("BACKWARD") and not avro_data.can_read(latest, new):
        return False
    return not level.endswith("TRANSITIVE") or compatible(new, earlier, level)
