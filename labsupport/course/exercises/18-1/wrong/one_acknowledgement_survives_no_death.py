# one acknowledgement survives no death -> The leader has the record, and lives
def fate(leader, isr, acks, min_isr, dead):
    if acks == "all" and len(isr) < min_isr:
        return "refused"
    if set(isr) <= set(dead):
        return "offline"
    return "lost" if acks == 1 and dead else "kept"
