# everybody gets everything -> to exactly one member
def assign(names, partitions):
    names = sorted(names)
    return {name: list(range(partitions)) for name in names}
