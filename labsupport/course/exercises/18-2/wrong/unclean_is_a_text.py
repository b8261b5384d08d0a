# unclean is a text -> unclean is True or False
def settings(brokers, keep, write):
    min_isr = keep + 1
    copies = keep + 1 + write
    if copies > brokers:
        return None
    return {"copies": copies, "min_isr": min_isr, "acks": "all", "unclean": "false"}
