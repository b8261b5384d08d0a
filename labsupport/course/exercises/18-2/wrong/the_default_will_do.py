# the default will do -> An acknowledged record can be lost
def settings(brokers, keep, write):
    min_isr = 1
    copies = keep + 1 + write
    if copies > brokers:
        return None
    return {"copies": copies, "min_isr": min_isr, "acks": "all", "unclean": False}
