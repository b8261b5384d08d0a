# some steps are as good as a wait -> was in the topic before
def plan(producers, consumers):
    steps = [(name, "both") for name in producers]
    steps += [(name, "either") for name in consumers]
    steps += [(name, "new") for name in consumers]
    return [*steps, "wait", *((name, "new") for name in producers)]
