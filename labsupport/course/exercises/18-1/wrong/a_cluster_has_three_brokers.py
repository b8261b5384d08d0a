# a cluster has three brokers -> The partition has a leader
def fate(leader, isr, acks, min_isr, dead):
    if acks == "all" and len(isr) < min_isr:
        return "refused"
    if len(dead) == 3 or (len(isr) < 3 and len(dead) == len(isr)):
        return "offline"
    return "lost" if acks == 1 and leader in dead else "kept"
