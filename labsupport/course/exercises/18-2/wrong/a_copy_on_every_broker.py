# a copy on every broker -> fewer copies would do
def settings(brokers, keep, write):
    min_isr = keep + 1
    copies = brokers
    if keep + 1 + write > brokers:
        return None
    return {"copies": copies, "min_isr": min_isr, "acks": "all", "unclean": False}
