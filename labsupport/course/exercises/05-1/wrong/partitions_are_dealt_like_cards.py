# partitions are dealt like cards -> consecutive partitions
def assign(names, partitions):
    names = sorted(names)
    step = len(names)
    return {name: list(range(n, partitions, step)) for n, name in enumerate(names)}
