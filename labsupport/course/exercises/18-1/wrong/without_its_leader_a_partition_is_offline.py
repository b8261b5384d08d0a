# without its leader a partition is offline -> is enough to lead
def fate(leader, isr, acks, min_isr, dead):
    if acks == "all" and len(isr) < min_isr:
        return "refused"
    return "offline" if leader in dead else "kept"
