# the way is a flag -> returned the wrong type
def way(interaction):
    return interaction in ("card", "stock", "name", "cancel")
