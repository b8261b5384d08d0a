def assign(names, partitions):
    """By name, the list of partitions that the group gives to it."""
    each, left_over = divmod(partitions, len(names))
    shares, begin = {}, 0
    for number, name in enumerate(sorted(names)):
        end = begin + each + (number < left_over)
        shares[name] = list(range(begin, end))
        begin = end
    return shares
