def out_of_order(records):
    keys = {key for key, _ in records}
    return [k for k in keys if (of_k := [n for key, n in records if key == k]) != sorted(of_k)]
