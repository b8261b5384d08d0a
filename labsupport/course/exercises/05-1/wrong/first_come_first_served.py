# first come, first served -> members are ordered by name
def assign(names, partitions):
    each, left = divmod(partitions, len(names))
    shares, begin = {}, 0
    for number, name in enumerate(names):
        end = begin + each + (number < left)
        shares[name] = list(range(begin, end))
        begin = end
    return shares
