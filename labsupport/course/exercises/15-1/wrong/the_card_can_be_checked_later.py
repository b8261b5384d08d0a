# the card can be checked later -> orders were accepted without the bank's word
def way(interaction):
    return "ask" if interaction in ("stock", "name", "cancel") else "tell"
