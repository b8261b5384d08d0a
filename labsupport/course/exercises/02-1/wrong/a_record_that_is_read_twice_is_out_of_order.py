# a record that is read twice is out of order -> No key is out of order here
def out_of_order(records):
    last, broken = {}, set()
    for key, number in records:
        if number <= last.get(key, 0):
            broken.add(key)
        last[key] = number
    return broken
