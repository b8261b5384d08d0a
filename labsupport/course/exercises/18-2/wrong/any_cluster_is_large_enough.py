# any cluster is large enough -> no 2 brokers
def settings(brokers, keep, write):
    min_isr = keep + 1
    copies = keep + 1 + write
    if copies > 9:
        return None
    return {"copies": copies, "min_isr": min_isr, "acks": "all", "unclean": False}
