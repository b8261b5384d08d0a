def assign(names, partitions):
    names = sorted(names)
    owner = []
    for n in range(len(names)):
        owner += [n] * len(range(n, partitions, len(names)))
    number = names.index
    return {name: tuple(p for p in range(partitions) if owner[p] == number(name)) for name in names}
