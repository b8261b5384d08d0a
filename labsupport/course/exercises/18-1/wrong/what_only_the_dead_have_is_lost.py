# what only the dead have is lost -> Nobody leads
def fate(leader, isr, acks, min_isr, dead):
    if acks == "all" and len(isr) < min_isr:
        return "refused"
    have = set(isr) if acks == "all" else {leader}
    return "kept" if have - set(dead) else "lost"
