def fate(leader, isr, acks, min_isr, dead):
    left = [broker for broker in isr if broker not in dead]
    match acks:
        case "all" if len(isr) < min_isr:
            return "refused"
        case _ if not left:
            return "offline"
        case 1 if leader not in left:
            return "lost"
    return "kept"
