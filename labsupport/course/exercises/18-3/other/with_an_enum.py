from enum import Enum


class Word(str, Enum):
    FINE = "fine"
    REFUSES = "refuses"
    NO_QUORUM = "no quorum"
    OFFLINE = "offline"


def advise(state):
    alive, isr = state["alive"], state["isr"]
    if state["leader"] is None:
        return Word.OFFLINE, frozenset(state["elr"])
    if any(broker not in alive for broker in isr):
        return Word.NO_QUORUM, frozenset()
    if len(isr) >= state["min_isr"]:
        return Word.FINE, frozenset()
    return Word.REFUSES, frozenset(broker for broker in state["replicas"] if broker not in alive)
