# writing both names is the end -> is not finished
def plan(producers, consumers):
    steps = [(name, "both") for name in producers] + ["wait"]
    return steps + [(name, "new") for name in consumers]
