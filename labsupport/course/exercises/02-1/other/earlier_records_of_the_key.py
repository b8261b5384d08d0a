def out_of_order(records):
    return dict.fromkeys(
        k
        for i, (k, n) in enumerate(records)
        if (k, n) and any(k == other and number > n for other, number in records[:i])
    ).keys()
