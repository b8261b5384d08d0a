# a step can have two releases -> is no step
def plan(producers, consumers):
    steps = [[name, ["both", "new"]] for name in producers]
    return [*steps, "wait", *([name, ["either", "new"]] for name in consumers)]
