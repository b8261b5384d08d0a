# a cancellation is something that has happened -> customers were told that it is done
def way(interaction):
    return "ask" if interaction in ("card", "stock", "name") else "tell"
