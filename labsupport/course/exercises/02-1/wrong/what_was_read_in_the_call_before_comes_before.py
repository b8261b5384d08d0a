# what was read in the call before comes before this -> no record came after a later one
last = {}


def out_of_order(records):
    broken = set()
    for key, number in records:
        if number < last.get(key, 0):
            broken.add(key)
        last[key] = number
    return broken
