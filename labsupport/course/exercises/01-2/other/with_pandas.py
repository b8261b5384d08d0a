import pandas


def total(values):
    rows = [json.loads(v, parse_float=Decimal, parse_int=Decimal)["payload"] for v in values]
    return pandas.DataFrame(rows, columns=["amount"], dtype=object)["amount"].sum()
