# a number may come later -> wait for a number that comes when the customer has left
def way(interaction):
    return "ask" if interaction in ("card", "name", "cancel") else "tell"
