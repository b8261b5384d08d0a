# two of the same name can be sorted out later -> names were given away
def way(interaction):
    return "ask" if interaction in ("card", "stock", "cancel") else "tell"
