# what was read already is skipped -> you missed
def out_of_order(records):
    last, broken = {}, set()
    for key, number in dict.fromkeys(records):
        if number < last.get(key, 0):
            broken.add(key)
        last[key] = number
    return broken
