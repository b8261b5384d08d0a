# everybody gets everything -> to one only
def assign(names, partitions):
    names = sorted(names)
    return {name: list(range(partitions)) for name in names}
