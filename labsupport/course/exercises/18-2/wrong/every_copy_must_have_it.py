# every copy must have it -> nobody can write any more
def settings(brokers, keep, write):
    min_isr = keep + 1 + write
    copies = keep + 1 + write
    if copies > brokers:
        return None
    return {"copies": copies, "min_isr": min_isr, "acks": "all", "unclean": False}
