# consumers come last -> has not been upgraded
def plan(producers, consumers):
    steps = [(name, "both") for name in producers] + ["wait"]
    steps += [(name, "new") for name in producers]
    return steps + [(name, "new") for name in consumers]
