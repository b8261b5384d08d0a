def fate(leader, isr, acks, min_isr, dead):
    if acks != 1 and min_isr > len(isr):
        return "refused"
    have = {leader} if acks == 1 else set(isr)
    alive = set(isr).difference(dead)
    if not alive:
        return "offline"
    new = leader if leader in alive else min(alive)
    return "kept" if new in have else "lost"
