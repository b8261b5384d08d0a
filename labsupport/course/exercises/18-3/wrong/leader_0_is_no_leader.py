# leader 0 is no leader -> Broker 0 leads
def advise(state):
    if not state["leader"]:
        return "offline", state["elr"]
    if not state["isr"] <= state["alive"]:
        return "no quorum", set()
    if len(state["isr"]) < state["min_isr"]:
        return "refuses", state["replicas"] - state["alive"]
    return "fine", set()
