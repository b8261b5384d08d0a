# a new service can ask for what it needs -> reached the service that came later
def way(interaction):
    return "ask" if interaction in ("card", "stock", "name", "cancel", "fraud") else "tell"
