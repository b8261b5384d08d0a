# no broker has the number 0 -> The leader has the record, and lives
def fate(leader, isr, acks, min_isr, dead):
    if acks == "all" and len(isr) < min_isr:
        return "refused"
    alive = [broker for broker in isr if broker not in dead]
    if not alive:
        return "offline"
    leads = leader if leader in alive else None
    return "kept" if acks == "all" or leads else "lost"
