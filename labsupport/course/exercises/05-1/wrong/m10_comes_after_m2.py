# m10 comes after m2 -> compared as text
def assign(names, partitions):
    names = sorted(names, key=lambda name: (len(name), name))
    each, left = divmod(partitions, len(names))
    shares, begin = {}, 0
    for number, name in enumerate(names):
        end = begin + each + (number < left)
        shares[name] = list(range(begin, end))
        begin = end
    return shares
