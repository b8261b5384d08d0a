# the dead are the same -> nobody can write any more
def settings(brokers, keep, write):
    min_isr = keep + 1
    copies = max(keep, write) + 1
    if copies > brokers:
        return None
    return {"copies": copies, "min_isr": min_isr, "acks": "all", "unclean": False}
