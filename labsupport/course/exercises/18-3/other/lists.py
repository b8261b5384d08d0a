def advise(state):
    dead = [broker for broker in state["replicas"] if broker not in state["alive"]]
    if state["leader"] is None:
        return ["offline", sorted(state["elr"])]
    if any(broker in dead for broker in state["isr"]):
        return ["no quorum", []]
    if state["min_isr"] > len(state["isr"]):
        return ["refuses", dead]
    return ["fine", []]
