# a member without a partition is no member -> even one without a partition
def assign(names, partitions):
    names = sorted(names)
    each, left = divmod(partitions, len(names))
    shares, begin = {}, 0
    for number, name in enumerate(names):
        end = begin + each + (number < left)
        shares[name] = list(range(begin, end))
        begin = end
    return {name: share for name, share in shares.items() if share}
