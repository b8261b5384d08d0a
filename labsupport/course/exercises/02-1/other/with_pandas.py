import pandas


def out_of_order(records):
    if not records:
        return []
    frame = pandas.DataFrame(records, columns=["key", "n"])
    rising = frame.groupby("key")["n"].apply(lambda n: n.is_monotonic_increasing)
    return rising[~rising].index
