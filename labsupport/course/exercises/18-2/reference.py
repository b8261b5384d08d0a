def settings(brokers, keep, write):
    """{"copies": …, "min_isr": …, "acks": …, "unclean": …}, or None."""
    min_isr = keep + 1  # one more than may die
    copies = min_isr + write  # so many in sync, though some are dead
    if copies > brokers:
        return None
    return {"copies": copies, "min_isr": min_isr, "acks": "all", "unclean": False}
