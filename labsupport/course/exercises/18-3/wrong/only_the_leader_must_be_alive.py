# only the leader must be alive -> ISR still names
def advise(state):
    if state["leader"] is None:
        return "offline", state["elr"]
    if state["leader"] not in state["alive"]:
        return "no quorum", set()
    if len(state["isr"]) < state["min_isr"]:
        return "refuses", state["replicas"] - state["alive"]
    return "fine", set()
