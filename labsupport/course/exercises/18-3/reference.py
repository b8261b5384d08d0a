def advise(state):
    """ "fine", "refuses", "no quorum" or "offline", and a set of brokers to start."""
    if state["leader"] is None:
        return "offline", state["elr"]
    if not state["isr"] <= state["alive"]:
        return "no quorum", set()
    if len(state["isr"]) < state["min_isr"]:
        return "refuses", state["replicas"] - state["alive"]
    return "fine", set()
