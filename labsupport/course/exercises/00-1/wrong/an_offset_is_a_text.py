# an offset is a text -> a str
def offset_of(nth):
    return str(nth - 1)
