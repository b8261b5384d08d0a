# the mail is a part of the order -> 0 of 3 customers got a mail
def way(interaction):
    return "ask" if interaction in ("card", "stock", "name", "cancel", "mail") else "tell"
