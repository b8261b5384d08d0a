from kafka import ConsumerRebalanceListener


def listener(consumer, done):
    """Commits what was processed of the partitions that are revoked."""
    return ...
