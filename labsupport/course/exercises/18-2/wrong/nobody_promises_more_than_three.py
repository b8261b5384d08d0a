# nobody promises more than three -> nobody can write any more
def settings(brokers, keep, write):
    """{"copies": …, "min_isr": …, "acks": …, "unclean": …}, or None."""
    min_isr = min(keep, 3) + 1
    copies = min_isr + min(write, 3)
    if keep + 1 + write > brokers:
        return None
    return {"copies": copies, "min_isr": min_isr, "acks": "all", "unclean": False}
