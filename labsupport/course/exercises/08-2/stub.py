from labsupport import story


def handle(event, database):
    """One row in effects for this event, however often it comes."""
    return ...
