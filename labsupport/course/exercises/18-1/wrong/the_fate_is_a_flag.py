# the fate is a flag -> wrong type
def fate(leader, isr, acks, min_isr, dead):
    return not (acks == 1 and leader in dead)
