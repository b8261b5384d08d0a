# a topic holds a few events -> IndexError
def offset_of(nth):
    return list(range(50))[nth - 1]
