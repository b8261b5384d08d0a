class Partition:
    def __init__(self, leader, isr):
        self.leader, self.logs = leader, {broker: [] for broker in isr}

    def write(self, acks, min_isr):
        if acks == "all" and len(self.logs) < min_isr:
            return False
        for broker in self.logs if acks == "all" else [self.leader]:
            self.logs[broker].append("record")
        return True

    def die(self, dead):
        for broker in dead:
            del self.logs[broker]
        if self.leader not in self.logs:
            self.leader = next(iter(self.logs), None)


def fate(leader, isr, acks, min_isr, dead):
    partition = Partition(leader, isr)
    if not partition.write(acks, min_isr):
        return "refused"
    partition.die(dead)
    if partition.leader is None:
        return "offline"
    return "kept" if partition.logs[partition.leader] else "lost"
