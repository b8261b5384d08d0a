# what does not divide evenly is left out -> assigned to exactly one member
def assign(names, partitions):
    names = sorted(names)
    each = partitions // len(names)
    return {name: list(range(n * each, (n + 1) * each)) for n, name in enumerate(names)}
