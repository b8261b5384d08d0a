# without a second replica it is offline -> Broker 1 leads
def advise(state):
    if state["leader"] is None or len(state["isr"]) < state["min_isr"]:
        return "offline", state["elr"]
    if not state["isr"] <= state["alive"]:
        return "no quorum", set()
    return "fine", set()
