# more than all is safest -> min_isr is larger than copies
def settings(brokers, keep, write):
    copies = keep + 1 + write
    if copies > brokers:
        return None
    return {"copies": copies, "min_isr": keep + 1 if write else copies + 1, "acks": "all", "unclean": False}
