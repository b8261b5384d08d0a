# min_isr works with acks=1, too -> with acks=1
def settings(brokers, keep, write):
    min_isr = keep + 1
    copies = keep + 1 + write
    if copies > brokers:
        return None
    return {"copies": copies, "min_isr": min_isr, "acks": 1, "unclean": False}
