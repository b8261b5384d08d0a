# all means all three replicas -> The record was not refused
def fate(leader, isr, acks, min_isr, dead):
    if acks == "all" and len(isr) < 3:
        return "refused"
    if set(isr) <= set(dead):
        return "offline"
    return "lost" if acks == 1 and leader in dead else "kept"
