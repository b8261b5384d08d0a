# the last one gets what is left -> first members
def assign(names, partitions):
    names = sorted(names)
    each = partitions // len(names)
    shares = {name: list(range(n * each, (n + 1) * each)) for n, name in enumerate(names)}
    shares[names[-1]] = list(range((len(names) - 1) * each, partitions))
    return shares
