# one upgraded consumer is enough -> has not been upgraded
def plan(producers, consumers):
    steps = [(name, "both") for name in producers] + ["wait"]
    steps += [(consumers[0], "new")]
    return steps + [(name, "new") for name in producers]
