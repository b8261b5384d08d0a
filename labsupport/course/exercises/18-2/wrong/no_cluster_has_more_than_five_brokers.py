# no cluster has more than five brokers -> This promise can be kept
def settings(brokers, keep, write):
    copies = keep + 1 + write
    if copies > min(brokers, 5):
        return None
    return {"copies": copies, "min_isr": keep + 1, "acks": "all", "unclean": False}
