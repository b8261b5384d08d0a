from labsupport import reading


def consume(consumer, handle):
    """Handle each record to the end; one commit for each poll."""
    return ...
