# those who die are listed as the isr is -> Nobody leads
def fate(leader, isr, acks, min_isr, dead):
    """ "refused", "kept", "lost" or "offline"."""
    if acks == "all" and len(isr) < min_isr:
        return "refused"
    if isr == dead:
        return "offline"
    if acks == 1 and leader in dead:
        return "lost"
    return "kept"
