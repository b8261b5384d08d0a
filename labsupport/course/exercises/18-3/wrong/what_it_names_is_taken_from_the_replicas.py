# what it names is taken from the replicas -> changed its arguments
def advise(state):
    if state["leader"] is None:
        return "offline", state["elr"]
    if not state["isr"] <= state["alive"]:
        return "no quorum", set()
    if len(state["isr"]) < state["min_isr"]:
        state["replicas"] -= state["alive"]
        return "refuses", state["replicas"]
    return "fine", set()
