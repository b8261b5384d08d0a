from typing import NamedTuple


class Advice(NamedTuple):
    word: str
    start: set


class Partition:
    def __init__(self, leader, replicas, isr, elr, alive, min_isr):
        self.leader, self.elr = leader, elr
        self.dead, self.short = replicas - alive, len(isr) < min_isr
        self.stale = bool(isr & self.dead)

    def advice(self):
        if self.leader is None:
            return Advice("offline", set(self.elr))
        if self.stale:
            return Advice("no quorum", set())
        return Advice("refuses", self.dead) if self.short else Advice("fine", set())


def advise(state):
    return Partition(**state).advice()
