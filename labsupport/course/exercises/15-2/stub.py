import time


def wait_for(sent, group, committed, limit):
    """Whether the group has processed the record within `limit` seconds."""
    return ...
