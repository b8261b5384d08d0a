# a better word -> none of the four words
def fate(leader, isr, acks, min_isr, dead):
    if acks == "all" and len(isr) < min_isr:
        return "NotEnoughReplicas"
    if set(isr) <= set(dead):
        return "offline"
    return "lost" if acks == 1 and leader in dead else "kept"
