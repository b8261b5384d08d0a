# the ISR must be larger than min_isr -> The record was not refused
def fate(leader, isr, acks, min_isr, dead):
    if acks == "all" and len(isr) <= min_isr:
        return "refused"
    if set(isr) <= set(dead):
        return "offline"
    return "lost" if acks == 1 and leader in dead else "kept"
