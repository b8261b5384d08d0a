# a leader that lives is enough -> min_isr is
def advise(state):
    if state["leader"] is None:
        return "offline", state["elr"]
    if not state["isr"] <= state["alive"]:
        return "no quorum", set()
    return "fine", set()
