# a producer has a consumer of its own -> audit has not been upgraded
def plan(producers, consumers):
    steps = [(name, "both") for name in producers] + ["wait"]
    for producer, consumer in zip(producers, consumers):
        steps += [(consumer, "new")]
    return steps + [(name, "new") for name in producers]
