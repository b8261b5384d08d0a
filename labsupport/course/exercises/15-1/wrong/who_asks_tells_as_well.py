# who asks tells as well -> neither of the two ways
def way(interaction):
    return "ask" if interaction in ("card", "stock", "name", "cancel") else "ask, then tell"
