# three replicas survive two deaths -> Nobody leads
def fate(leader, isr, acks, min_isr, dead):
    if acks == "all" and len(isr) < min_isr:
        return "refused"
    if len(dead) == 3:
        return "offline"
    return "lost" if acks == 1 and leader in dead else "kept"
