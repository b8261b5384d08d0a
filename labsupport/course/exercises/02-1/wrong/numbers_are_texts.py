# numbers are texts -> between keys there is no order to break
def out_of_order(records):
    last, broken = {}, set()
    for key, number in records:
        if str(number) < last.get(key, ""):
            broken.add(key)
        last[key] = str(number)
    return broken
