# the brokers come one by one -> an empty set is
def advise(state):
    if state["leader"] is None:
        return "offline", (broker for broker in state["elr"])
    if not state["isr"] <= state["alive"]:
        return "no quorum", ()
    if len(state["isr"]) < state["min_isr"]:
        return "refuses", (broker for broker in state["replicas"] - state["alive"])
    return "fine", ()
