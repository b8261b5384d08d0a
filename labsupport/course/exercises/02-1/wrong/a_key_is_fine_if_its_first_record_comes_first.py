# a key is fine if its first record comes first -> you missed
def out_of_order(records):
    first, least = {}, {}
    for key, number in records:
        first.setdefault(key, number)
        least[key] = min(number, least.get(key, number))
    return {key for key in first if first[key] != least[key]}
