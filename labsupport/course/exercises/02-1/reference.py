def out_of_order(records):
    """The keys that had a record read after a later one."""
    last, broken = {}, set()
    for key, number in records:
        if number < last.get(key, 0):
            broken.add(key)
        last[key] = number
    return broken
