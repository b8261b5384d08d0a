def plan(producers, consumers):
    steps = []
    for name in consumers:
        steps.append((name, "either"))
    for name in producers:
        steps.append((name, "new"))
    steps.append("wait")
    for name in consumers:
        steps.append((name, "new"))
    return steps
