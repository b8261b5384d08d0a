# min_isr is for every producer -> acks=1 is never refused
def fate(leader, isr, acks, min_isr, dead):
    if len(isr) < min_isr:
        return "refused"
    if set(isr) <= set(dead):
        return "offline"
    return "lost" if acks == 1 and leader in dead else "kept"
