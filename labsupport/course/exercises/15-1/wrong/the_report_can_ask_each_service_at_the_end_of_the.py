# the report can ask each service at the end of the month -> orders are in the report
def way(interaction):
    return "ask" if interaction in ("card", "stock", "name", "cancel", "report") else "tell"
