# an empty set is a pair of braces -> an empty set is
def advise(state):
    if state["leader"] is None:
        return "offline", state["elr"]
    if not state["isr"] <= state["alive"]:
        return "no quorum", {}
    if len(state["isr"]) < state["min_isr"]:
        return "refuses", state["replicas"] - state["alive"]
    return "fine", {}
