# keep copies survive keep deaths -> An acknowledged record can be lost
def settings(brokers, keep, write):
    min_isr = max(1, keep)
    copies = max(1, keep) + write
    if copies > brokers:
        return None
    return {"copies": copies, "min_isr": min_isr, "acks": "all", "unclean": False}
