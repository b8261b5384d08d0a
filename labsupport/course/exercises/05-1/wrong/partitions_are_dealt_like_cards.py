# partitions are dealt like cards -> lie side by side
def assign(names, partitions):
    names = sorted(names)
    step = len(names)
    return {name: list(range(n, partitions, step)) for n, name in enumerate(names)}
