# the same key's records come one right after the other -> you missed
def out_of_order(records):
    return {b[0] for a, b in zip(records, records[1:]) if a[0] == b[0] and b[1] < a[1]}
