# a request is simpler, so everything is a request -> 0 of 3 customers got a mail
def way(interaction):
    return "ask"
