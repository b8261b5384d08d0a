# what is acknowledged is kept -> only broker
def fate(leader, isr, acks, min_isr, dead):
    if acks == "all" and len(isr) < min_isr:
        return "refused"
    return "offline" if set(isr) <= set(dead) else "kept"
