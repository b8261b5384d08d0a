# a promise that cannot be kept is an empty dict -> not the four settings
def settings(brokers, keep, write):
    if keep + 1 + write > brokers:
        return {}
    return {"copies": keep + 1 + write, "min_isr": keep + 1, "acks": "all", "unclean": False}
