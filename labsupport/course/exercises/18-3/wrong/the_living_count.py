# the living count -> ISR still names
def advise(state):
    if state["leader"] is None:
        return "offline", state["elr"]
    if len(state["alive"]) < state["min_isr"]:
        return "refuses", state["replicas"] - state["alive"]
    return "fine", set()
