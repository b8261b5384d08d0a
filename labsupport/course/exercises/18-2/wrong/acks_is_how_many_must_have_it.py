# acks is how many must have it -> acks is 1 or
def settings(brokers, keep, write):
    min_isr = keep + 1
    copies = keep + 1 + write
    if copies > brokers:
        return None
    return {"copies": copies, "min_isr": min_isr, "acks": min_isr, "unclean": False}
