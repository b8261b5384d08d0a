# the word is enough -> wrong type
def advise(state):
    return "fine"
