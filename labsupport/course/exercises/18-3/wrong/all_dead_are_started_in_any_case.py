# all dead are started in any case -> nothing has to be done at once
def advise(state):
    dead = state["replicas"] - state["alive"]
    if state["leader"] is None:
        return "offline", state["elr"]
    if not state["isr"] <= state["alive"]:
        return "no quorum", set()
    if len(state["isr"]) < state["min_isr"]:
        return "refuses", dead
    return "fine", dead
