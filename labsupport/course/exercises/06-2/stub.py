from kafka import ConsumerRebalanceListener


def listener(consumer, done):
    """Commits what is done of the partitions that are taken away."""
    return ...
