# the ISR counts after the deaths -> before the deaths or after
def fate(leader, isr, acks, min_isr, dead):
    alive = [each for each in isr if each not in dead]
    if acks == "all" and len(isr) < min_isr:
        return "refused"
    if not alive:
        return "offline"
    if acks == "all" and len(alive) < min_isr:
        return "refused"
    return "lost" if acks == 1 and leader in dead else "kept"
