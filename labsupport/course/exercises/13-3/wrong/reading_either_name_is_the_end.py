# reading either name is the end -> still reads both names
def plan(producers, consumers):
    return [(name, "either") for name in consumers] + [(name, "new") for name in producers]
