def assign(names, partitions):
    if not names:
        return {}
    *others, last = sorted(names)
    share = partitions // len(names)
    return {**assign(others, partitions - share), last: range(partitions - share, partitions)}
