# three copies are always right -> no 3 brokers
def settings(brokers, keep, write):
    min_isr = keep + 1
    copies = 3
    if keep + 1 + write > brokers:
        return None
    return {"copies": copies, "min_isr": min_isr, "acks": "all", "unclean": False}
