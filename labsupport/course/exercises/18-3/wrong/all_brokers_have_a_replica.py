# all brokers have a replica -> of all replicas, who does not answer
def advise(state):
    if state["leader"] is None:
        return "offline", state["elr"]
    if not state["isr"] <= state["alive"]:
        return "no quorum", set()
    if len(state["isr"]) < state["min_isr"]:
        return "refuses", state["replicas"] ^ state["alive"]
    return "fine", set()
