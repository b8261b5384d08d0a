WAYS = dict.fromkeys(["card", "stock", "name", "cancel"], "ask")
WAYS |= dict.fromkeys(["mail", "price", "report", "fraud"], "tell")


def way(interaction):
    return WAYS[interaction]
