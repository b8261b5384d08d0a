# the two ways are called request and event -> neither of the two ways
def way(interaction):
    return "request" if interaction in ("card", "stock", "name", "cancel") else "event"
