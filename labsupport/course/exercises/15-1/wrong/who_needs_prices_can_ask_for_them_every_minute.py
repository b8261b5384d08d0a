# who needs prices can ask for them every minute -> price changes reached the partner
def way(interaction):
    return "ask" if interaction in ("card", "stock", "name", "cancel", "price") else "tell"
