# rename at once: producers, then consumers -> has not been upgraded
def plan(producers, consumers):
    return [(name, "new") for name in [*producers, *consumers]]
