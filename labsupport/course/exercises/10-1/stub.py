from labsupport import Event


def to_redrive(letters):
    """Those of the dead letters that the mended service can process."""
    return ...
