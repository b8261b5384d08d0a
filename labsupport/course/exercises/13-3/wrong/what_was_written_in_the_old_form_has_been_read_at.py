# what was written in the old form has been read at once -> was in the topic before
def plan(producers, consumers):
    steps = [(name, "either") for name in consumers]
    steps += [(name, "new") for name in producers]
    return steps + [(name, "new") for name in consumers]
