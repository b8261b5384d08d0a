# a dead broker means no quorum -> somebody has taken the dead out
def advise(state):
    if state["leader"] is None:
        return "offline", state["elr"]
    if state["alive"] != state["replicas"]:
        return "no quorum", set()
    if len(state["isr"]) < state["min_isr"]:
        return "refuses", state["replicas"] - state["alive"]
    return "fine", set()
