# the ISR is right, whoever is dead -> ISR still names
def advise(state):
    if state["leader"] is None:
        return "offline", state["elr"]
    if len(state["isr"]) < state["min_isr"]:
        return "refuses", state["replicas"] - state["alive"]
    return "fine", set()
