import numpy


def total(values):
    amounts = [json.loads(v, parse_float=Decimal)["payload"]["amount"] for v in values]
    return numpy.array(amounts, dtype=object).sum()
