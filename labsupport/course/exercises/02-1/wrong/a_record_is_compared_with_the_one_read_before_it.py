# a record is compared with the one read before it, whatever its key -> between keys there is no order to break
def out_of_order(records):
    return {b[0] for a, b in zip(records, records[1:]) if b[1] < a[1]}
