def advise(state):
    match state:
        case {"leader": None, "elr": elr}:
            return ("offline", frozenset(elr))
        case {"isr": isr, "alive": alive} if isr - alive:
            return ("no quorum", frozenset())
        case {"isr": isr, "min_isr": least, "alive": alive, "replicas": every} if len(isr) < least:
            return ("refuses", every.difference(alive))
    return ("fine", frozenset())
