# events decouple, so everything is an event -> orders were accepted without the bank's word
def way(interaction):
    return "tell"
