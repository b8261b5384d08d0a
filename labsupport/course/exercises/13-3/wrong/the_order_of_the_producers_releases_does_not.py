# the order of the producers' releases does not matter -> The registry refuses
def plan(producers, consumers):
    steps = [(name, "either") for name in consumers]
    steps += [(name, "new") for name in producers]
    steps += [(name, "both") for name in producers]
    return [*steps, "wait", *((name, "new") for name in [*producers, *consumers])]
