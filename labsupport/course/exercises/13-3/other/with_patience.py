def plan(producers, consumers):
    steps = [[name, "either"] for name in consumers] + ["wait"]
    steps += [[name, "both"] for name in producers] + ["wait"]
    steps += [[name, "new"] for name in reversed(producers)] + ["wait"]
    return steps + [[name, "new"] for name in reversed(consumers)]
