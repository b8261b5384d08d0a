# one producer stands for all -> without its customer
def plan(producers, consumers):
    steps = [(producers[0], "both"), "wait"]
    steps += [(name, "new") for name in consumers]
    return steps + [(name, "new") for name in producers]
