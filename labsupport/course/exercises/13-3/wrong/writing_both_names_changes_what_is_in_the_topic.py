# writing both names changes what is in the topic already -> was in the topic before
def plan(producers, consumers):
    steps = [(name, "both") for name in producers]
    steps += [(name, "new") for name in consumers]
    return steps + [(name, "new") for name in producers]
