# each takes the rounded-up share while there is some -> differ by at most one
def assign(names, partitions):
    names = sorted(names)
    each = -(-partitions // len(names))
    every = list(range(partitions))
    return {name: every[n * each : (n + 1) * each] for n, name in enumerate(names)}
