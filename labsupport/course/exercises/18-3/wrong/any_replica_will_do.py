# any replica will do -> unclean election
def advise(state):
    dead = state["replicas"] - state["alive"]
    if state["leader"] is None:
        return "offline", dead
    if not state["isr"] <= state["alive"]:
        return "no quorum", set()
    if len(state["isr"]) < state["min_isr"]:
        return "refuses", dead
    return "fine", set()
