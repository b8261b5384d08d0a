# consumers first is always safe under BACKWARD -> without its customer
def plan(producers, consumers):
    return [(name, "new") for name in [*consumers, *producers]]
