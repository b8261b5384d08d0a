# brokers are called 1 to 3 -> Nobody leads
def fate(leader, isr, acks, min_isr, dead):
    if acks == "all" and len(isr) < min_isr:
        return "refused"
    if not [each for each in (1, 2, 3) if each in isr and each not in dead] and max(isr) < 4:
        return "offline"
    return "lost" if acks == 1 and leader in dead else "kept"
