def offset_of(nth):
    """The offset of the nth event in an empty topic."""
    return nth - 1
