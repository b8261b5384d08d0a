from labsupport import Event


def to_redrive(letters):
    """The dead letters that the fixed service can process."""
    return ...
