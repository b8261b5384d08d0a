# a partition needs min_isr brokers -> whatever min_isr says
def fate(leader, isr, acks, min_isr, dead):
    if acks == "all" and len(isr) < min_isr:
        return "refused"
    if len(set(isr) - set(dead)) < min(min_isr, len(isr)):
        return "offline"
    return "lost" if acks == 1 and leader in dead else "kept"
