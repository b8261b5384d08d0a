def settings(brokers, keep, write):
    if keep == 0:
        if write >= brokers:
            return None
        return {"copies": write + 1, "min_isr": 1, "acks": 1, "unclean": False}
    if brokers - write - keep < 1:
        return None
    return {"copies": write + keep + 1, "min_isr": keep + 1, "acks": "all", "unclean": False}
