# waiting first helps -> was in the topic before
def plan(producers, consumers):
    steps = ["wait"] + [(name, "both") for name in producers]
    steps += [(name, "new") for name in consumers]
    return steps + [(name, "new") for name in producers]
