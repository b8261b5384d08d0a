def offset_of(position):
    print("asked for", position)
    return len(range(1, position))
